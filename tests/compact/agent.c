/* SPDX-License-Identifier: MIT */
/* A guest agent for tests: agent SOCKET HOW. Takes one connection, prints each request, and answers
 * as HOW says: good, failing, stale, or as a hostile guest would. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fd;
static const char *how;

static bool is(const char *name)
{
	return strcmp(how, name) == 0;
}

static void say(const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			exit(0);
		bytes += n;
		len -= (size_t)n;
	}
}

static void say_text(const char *text)
{
	say(text, strlen(text));
}

static void forever(const char *piece)
{
	for (;;)
		say_text(piece);
}

static void answer_sync(const char *request)
{
	const char *id = strstr(request, "\"id\":");
	char answer[128];

	if (is("silent"))
		pause();
	if (is("noise"))
		forever("no end of this ");
	if (is("hangup"))
		exit(0);
	if (is("no-json"))
		say_text("\xffhello\n\xff{\"return\":{\"a\":1}}\n\xff[]\n\xff\n");
	if (is("stale"))
		say_text("{\"return\": {\"paths\": []}}\n\xff{\"return\": 17}\n{\"half");
	if (is("line"))
		say_text("\xff");
	if (is("line"))
		forever("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
	snprintf(answer, sizeof(answer), "\xff{\"return\": %ld}\n", id ? atol(id + 5) : 0);
	say_text(answer);
}

static void answer_trim(void)
{
	if (is("good") || is("stale") || is("no-json"))
		say_text("{\"return\": {\"paths\": [{\"path\": \"/\", \"minimum\": 0, \"trimmed\": "
			 "5242880}, {\"path\": \"/home\", \"trimmed\": 1048576}, {\"path\": "
			 "\"/boot\\u001b[2J\", \"error\": \"trim not supported\"}]}}\n");
	if (is("failing"))
		say_text("{\"error\": {\"class\": \"GenericError\", \"desc\": \"not\\u001b[31m "
			 "today\"}}\n");
	if (is("number"))
		say_text("{\"return\": 7}\n");
	if (is("strange"))
		say_text("{\"return\": {\"paths\": [7, null, [], {\"path\": 3, \"trimmed\": -1}, "
			 "{\"trimmed\": 9223372036854775807}, {\"trimmed\": "
			 "9223372036854775807}]}}\n");
	if (is("deep")) {
		for (int i = 0; i < 100000; i++)
			say_text("[");
		say_text("\n");
	}
	if (is("many")) {
		say_text("{\"return\": {\"paths\": [");
		for (int i = 0; i < 50000; i++)
			say_text("{},");
		say_text("{}]}}\n");
	}
	if (is("long"))
		forever("{\"return\":                                  ");
	if (is("half")) {
		say_text("{\"return\": {");
		exit(0);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char request[4096];
	FILE *in;
	int s;

	if (argc != 3)
		return 2;
	how = argv[2];
	setvbuf(stdout, NULL, _IOLBF, 0);
	unlink(argv[1]);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", argv[1]);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	if (s < 0 || bind(s, (struct sockaddr *)&address, sizeof(address)) || listen(s, 1))
		return 1;
	fd = accept(s, NULL, NULL);
	in = fd < 0 ? NULL : fdopen(dup(fd), "r");
	while (in && fgets(request, sizeof(request), in)) {
		/* The 0xFF in front of a request for attention shows as "!". */
		printf("%s%s", request[0] == '\xff' ? "!" : "", request + (request[0] == '\xff'));
		if (strstr(request, "guest-sync-delimited"))
			answer_sync(request);
		else if (strstr(request, "guest-fstrim"))
			answer_trim();
	}
	return 0;
}
