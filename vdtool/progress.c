/* SPDX-License-Identifier: MIT */
/* See progress.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "image.h"
#include "output.h"
#include "progress.h"

#define BAR_WIDTH 24

void tool_progress_begin(struct tool_progress *progress, const struct tool_args *args,
			 const char *verb, uint64_t total)
{
	const char *how = args->text[OPT_PROGRESS];

	*progress = (struct tool_progress){.verb = verb, .total = total, .start = tool_now()};
	progress->last = progress->start;
	if (how && strcmp(how, "plain") == 0)
		progress->mode = PROGRESS_PLAIN;
	else if (how && strcmp(how, "json") == 0)
		progress->mode = PROGRESS_JSON;
	else if ((!how || strcmp(how, "auto") == 0) && !tool_is_quiet && isatty(STDERR_FILENO))
		progress->mode = PROGRESS_BAR;
}

static void show_bar(struct tool_progress *progress, double part, const char *amounts,
		     const char *rate, unsigned left)
{
	char bar[BAR_WIDTH + 1];
	int n = (int)(part * BAR_WIDTH);

	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', (size_t)n);
	bar[BAR_WIDTH] = '\0';
	fprintf(stderr, "\r%3d %% [%s] %s  %s/s  %u:%02u left\033[K", (int)(part * 100), bar,
		amounts, rate, left / 60, left % 60);
	fflush(stderr);
	progress->is_shown = true;
}

static void show(struct tool_progress *progress, uint64_t done, double elapsed)
{
	double part = progress->total ? (double)done / (double)progress->total : 1;
	double rate = elapsed > 0 ? (double)done / elapsed : 0;
	double left = rate > 0 ? (double)(progress->total - done) / rate : 0;
	char done_text[TOOL_SIZE_TEXT], total_text[TOOL_SIZE_TEXT], rate_text[TOOL_SIZE_TEXT];
	char amounts[2 * TOOL_SIZE_TEXT + 8];

	if (progress->mode == PROGRESS_JSON) {
		fprintf(stderr,
			"{\"progress\":\"%s\",\"done\":%" PRIu64 ",\"total\":%" PRIu64
			",\"seconds\":%.3f,\"bytes_per_second\":%.0f,\"seconds_left\":%.1f}\n",
			progress->verb, done, progress->total, elapsed, rate, left);
		return;
	}
	tool_size_format((uint64_t)rate, rate_text);
	snprintf(amounts, sizeof(amounts), "%s of %s", tool_size_format(done, done_text),
		 tool_size_format(progress->total, total_text));
	if (left > 1e6)
		left = 1e6;
	if (progress->mode == PROGRESS_BAR)
		show_bar(progress, part, amounts, rate_text, (unsigned)left);
	else
		fprintf(stderr, "vdtool: %s: %d %%, %s, %s/s, %u s left\n", progress->verb,
			(int)(part * 100), amounts, rate_text, (unsigned)left);
}

void tool_progress_update(struct tool_progress *progress, uint64_t done)
{
	double now, pause = progress->mode == PROGRESS_BAR    ? 0.1
			    : progress->mode == PROGRESS_JSON ? 0.5
							      : 2.0;

	if (progress->mode == PROGRESS_NONE)
		return;
	now = tool_now();
	/* What takes less than a second needs no bar; the last word always comes. */
	if (progress->mode == PROGRESS_BAR && now - progress->start < 1.0)
		return;
	if (now - progress->last < pause && done < progress->total)
		return;
	progress->last = now;
	show(progress, done, now - progress->start);
}

/** Is it time to say something? A bar is only for what takes more than a second. */
static bool is_due(const struct tool_progress *progress, double now)
{
	double pause = progress->mode == PROGRESS_BAR    ? 0.1
		       : progress->mode == PROGRESS_JSON ? 0.5
							 : 2.0;

	if (progress->mode == PROGRESS_BAR && now - progress->start < 1.0)
		return false;
	return now - progress->last >= pause;
}

void tool_progress_count(struct tool_progress *progress, uint64_t done, const char *unit,
			 const char *what)
{
	double now, elapsed;

	if (progress->mode == PROGRESS_NONE || done % 16)
		return;
	now = tool_now();
	if (!is_due(progress, now))
		return;
	progress->last = now;
	elapsed = now - progress->start;
	if (progress->mode == PROGRESS_JSON) {
		fprintf(stderr,
			"{\"progress\":\"%s\",\"done\":%" PRIu64
			",\"unit\":\"%s\",\"seconds\":%.3f}\n",
			progress->verb, done, unit, elapsed);
	} else if (progress->mode == PROGRESS_BAR) {
		fprintf(stderr, "\r%" PRIu64 " %s, %s  %.0f/s\033[K", done, unit, what,
			(double)done / elapsed);
		fflush(stderr);
		progress->is_shown = true;
	} else {
		fprintf(stderr, "vdtool: %s: %" PRIu64 " %s, %s, %.0f/s\n", progress->verb, done,
			unit, what, (double)done / elapsed);
	}
}

void tool_progress_clear(struct tool_progress *progress)
{
	if (progress->is_shown)
		fputs("\r\033[K", stderr);
	progress->is_shown = false;
}

void tool_progress_end(struct tool_progress *progress)
{
	tool_progress_clear(progress);
	progress->mode = PROGRESS_NONE;
}
