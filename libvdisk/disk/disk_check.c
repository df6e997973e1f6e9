/* SPDX-License-Identifier: MIT */
/*
 * Checking: the format's rules first, then whether the chain below the image fits together.
 * Findings are kept until the format's check is through: if that ends with VD_EBUSY, because
 * somebody wrote to the image meanwhile, nobody is to hear that it is corrupt.
 */
#include "base/alloc.h"
#include "disk/disk.h"

struct kept {
	enum vd_severity severity;
	const char *rule, *section, *expected; /* the format's, and static */
	uint64_t offset;
	char *found; /* own */
};

struct findings {
	vd_finding_fn fn;
	void *user;
	uint64_t n_errors;
	struct kept *kept;
	size_t n, room;
	bool is_short; /* of memory */
};

static void tell(const struct findings *findings, const struct vd_finding *finding)
{
	if (findings->fn)
		findings->fn(findings->user, finding);
}

/* The format counts its own errors; a caller may not want to hear of findings. */
static void keep(void *user, const struct vd_finding *finding)
{
	struct findings *findings = user;
	struct kept *kept;

	findings->n_errors += finding->severity == VD_FINDING_ERROR;
	if (!findings->fn)
		return;
	if (findings->n == findings->room) {
		size_t room = findings->room ? 2 * findings->room : 64;
		struct kept *larger = vd_realloc(findings->kept, room * sizeof(*larger));

		if (!larger) {
			findings->is_short = true;
			return;
		}
		findings->kept = larger;
		findings->room = room;
	}
	kept = &findings->kept[findings->n];
	*kept = (struct kept){finding->severity, finding->rule,   finding->section,
			      finding->expected, finding->offset, vd_strdup(finding->found)};
	findings->is_short |= !kept->found;
	findings->n += kept->found != NULL;
}

static void tell_kept(struct findings *findings)
{
	for (size_t i = 0; i < findings->n; i++) {
		const struct kept *kept = &findings->kept[i];
		const struct vd_finding finding = {kept->severity, kept->rule,  kept->section,
						   kept->offset,   kept->found, kept->expected};

		tell(findings, &finding);
	}
}

static void forget_kept(struct findings *findings)
{
	for (size_t i = 0; i < findings->n; i++)
		vd_free(findings->kept[i].found);
	vd_free(findings->kept);
}

/*
 * A chain that can't be opened: wrong parents break the rule of the locator; one that is missing
 * or lies where we may not look is a warning, for the image itself is sound.
 */
static int check_chain(struct vd_io *io, const char *path, const struct vd_open_opts *opts,
		       struct findings *findings)
{
	struct vd_finding finding = {
	    VD_FINDING_WARNING, "parent-open", "MS-VHDX 2.6.2.6.3",
	    VD_NO_OFFSET,       NULL,          "parents that can be opened"};
	struct vd_open_opts own = *opts;
	struct vd_error why = VD_ERROR_INIT;
	struct vd_disk *disk;
	int ret;

	/* The lock was taken for the check. */
	own.flags |= VD_OPEN_NO_LOCK | VD_OPEN_NO_PARENTS;
	if (vd_disk_open_one(&disk, io, path, &own, &why))
		return 0; /* the format has told why */
	own.flags = opts->flags;
	ret = vd_chain_open(disk, &own, &why);
	vd_disk_free(disk, NULL);
	if (!ret)
		return 0;
	finding.found = why.text;
	if (ret == VD_ECORRUPT) {
		finding.severity = VD_FINDING_ERROR;
		finding.rule = "parent-match";
		finding.expected = "a chain of parents in which each is the image that its child "
				   "was made on";
	}
	findings->n_errors += finding.severity == VD_FINDING_ERROR;
	tell(findings, &finding);
	return 0;
}

static int check(struct vd_io *io, const char *path, const struct vd_open_opts *opts,
		 struct findings *findings, struct vd_error *err)
{
	const struct vd_format_ops *ops;
	uint64_t n_errors = 0;
	int ret = vd_disk_lock(io, opts->flags, err);

	if (!ret)
		ret = vd_disk_choose_format(&ops, io, opts->format, err);
	if (ret)
		return ret;
	ret = ops->check(io, keep, findings, &n_errors, err);
	if (!ret && findings->is_short)
		ret = vd_no_memory(err, findings->n * sizeof(*findings->kept), "the findings");
	if (!ret)
		tell_kept(findings);
	forget_kept(findings);
	if (!ret && !findings->n_errors && ops->get_parent_hint &&
	    !(opts->flags & VD_OPEN_NO_PARENTS))
		ret = check_chain(io, path, opts, findings);
	return ret;
}

static int take(struct vd_open_opts *own, const struct vd_open_opts *opts, struct vd_error *err)
{
	int ret = vd_open_opts_take(own, opts, err);

	own->flags &= ~VD_OPEN_WRITE; /* a check changes nothing */
	return ret;
}

static int finish(int ret, const struct findings *findings, uint64_t *n_errors)
{
	if (!ret && n_errors)
		*n_errors = findings->n_errors;
	return ret;
}

int vd_disk_check(const char *path, const struct vd_open_opts *opts, vd_finding_fn fn, void *user,
		  uint64_t *n_errors, struct vd_error *err)
{
	struct findings findings = {.fn = fn, .user = user};
	struct vd_open_opts own;
	struct vd_io *io;
	int ret = take(&own, opts, err);

	if (!ret)
		ret = vd_disk_open_store(&io, path, &own, err);
	if (ret)
		return ret;
	ret = check(io, path, &own, &findings, err);
	vd_io_close(io);
	return finish(ret, &findings, n_errors);
}

int vd_disk_check_io(struct vd_io *io, const struct vd_open_opts *opts, vd_finding_fn fn,
		     void *user, uint64_t *n_errors, struct vd_error *err)
{
	struct findings findings = {.fn = fn, .user = user};
	struct vd_open_opts own;
	int ret = take(&own, opts, err);

	if (!ret)
		ret = check(io, NULL, &own, &findings, err);
	return finish(ret, &findings, n_errors);
}
