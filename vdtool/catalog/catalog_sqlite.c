/* SPDX-License-Identifier: MIT */
/* The catalog in SQLite: opening, the schema, statements, batches; see catalog_sqlite.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog_sqlite.h"

int lite_no_memory(struct vd_error *err)
{
	return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
}

int lite_damaged(struct vd_error *err, const char *what)
{
	return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
			    "the catalog is damaged: %s; remove it and sync again", what);
}

int lite_fail(const struct lite_store *lite, const char *what, struct vd_error *err)
{
	int code = lite->db ? sqlite3_errcode(lite->db) & 0xff : SQLITE_NOMEM;
	int sys_errno = lite->db ? sqlite3_system_errno(lite->db) : 0;
	const char *said = lite->db ? sqlite3_errmsg(lite->db) : "out of memory";

	switch (code) {
	case SQLITE_NOMEM:
		return lite_no_memory(err);
	case SQLITE_FULL:
		return vd_error_set(err, VD_ENOSPC, sys_errno, VD_NO_OFFSET,
				    "%s: no room is left; what was kept before stays", what);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		/* For this one SQLite doesn't wait: what was read is old, and stays so. */
		if (lite->db && sqlite3_extended_errcode(lite->db) == SQLITE_BUSY_SNAPSHOT)
			return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
					    "%s: the catalog has changed meanwhile; do it again",
					    what);
		return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				    "%s: another process has been writing the catalog for %d s",
				    what, LITE_BUSY_MS / 1000);
	case SQLITE_NOTADB:
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%s: it isn't a catalog (no database of SQLite)", what);
	case SQLITE_CORRUPT:
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "%s: the catalog is damaged (%s); nothing is lost with it: "
				    "remove it and sync again",
				    what, said);
	case SQLITE_ERROR: /* a table isn't there, or isn't what it should be */
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "%s: the catalog isn't as it was made (%s); remove it and "
				    "sync again",
				    what, said);
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return vd_error_set(err, VD_EDENIED, sys_errno, VD_NO_OFFSET, "%s: %s", what, said);
	case SQLITE_TOOBIG:
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "%s: more in one piece than the catalog can keep", what);
	default:
		return vd_error_set(err, sys_errno ? vd_code_from_errno(sys_errno) : VD_EIO,
				    sys_errno, VD_NO_OFFSET, "%s: %s%s%s", what, said,
				    sys_errno ? ": " : "", sys_errno ? strerror(sys_errno) : "");
	}
}

sqlite3_stmt *lite_statement(struct lite_store *lite, enum lite_statement which,
			     struct vd_error *err)
{
	sqlite3_stmt **statement = &lite->statements[which];

	if (*statement) {
		sqlite3_reset(*statement);
		return *statement;
	}
	if (sqlite3_prepare_v3(lite->db, lite_texts[which], -1, SQLITE_PREPARE_PERSISTENT,
			       statement, NULL) != SQLITE_OK) {
		lite_fail(lite, "asking", err);
		*statement = NULL;
	}
	return *statement;
}

int lite_run(struct lite_store *lite, sqlite3_stmt *statement, struct vd_error *err)
{
	int rc = 0;

	if (!statement)
		return VD_EIO;
	if (sqlite3_step(statement) != SQLITE_DONE)
		rc = lite_fail(lite, "writing", err);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return rc;
}

int lite_row(struct lite_store *lite, sqlite3_stmt *statement, struct vd_error *err)
{
	int rc = sqlite3_step(statement);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc != SQLITE_DONE)
		rc = lite_fail(lite, "reading", err);
	else
		rc = 0;
	sqlite3_reset(statement);
	return rc;
}

const char *lite_text(sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	return text ? text : "";
}

void lite_bind_text(sqlite3_stmt *statement, int at, const char *text)
{
	sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

void lite_bind_path(sqlite3_stmt *statement, int at, const char *path)
{
	sqlite3_bind_blob64(statement, at, path, strlen(path), SQLITE_STATIC);
}

void lite_forget_fields(struct lite_store *lite)
{
	for (size_t i = 0; i < lite->n_fields; i++)
		free(lite->fields[i].name);
	free(lite->fields);
	lite->fields = NULL;
	lite->n_fields = 0;
}

/* ---- batches ---- */

static int run_named(struct lite_store *lite, enum lite_statement which, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, which, err);

	return statement ? lite_run(lite, statement, err) : VD_EIO;
}

/** A lookup that stands on its row keeps the state that it saw. Once another process has written,
 *  SQLite refuses to write from there, and at once: there is nothing to wait for. */
static void let_go_of_lookups(struct lite_store *lite)
{
	for (size_t i = 0; i < LITE_N_STATEMENTS; i++)
		sqlite3_reset(lite->statements[i]);
}

static int begin(struct catalog_store *store, struct vd_error *err)
{
	struct lite_store *lite = (struct lite_store *)store;
	int rc;

	let_go_of_lookups(lite);
	rc = run_named(lite, LITE_BEGIN_WRITING, err);

	lite->is_writing = !rc;
	return rc;
}

static void rollback(struct catalog_store *store)
{
	struct lite_store *lite = (struct lite_store *)store;

	/* SQLite may have done it by itself. */
	if (lite->is_writing && !sqlite3_get_autocommit(lite->db))
		run_named(lite, LITE_ROLLBACK, NULL);
	lite->is_writing = false;
	lite_forget_fields(lite); /* those made in the batch are gone */
}

static int commit(struct catalog_store *store, struct vd_error *err)
{
	struct lite_store *lite = (struct lite_store *)store;
	int rc = run_named(lite, LITE_COMMIT, err);

	if (rc)
		rollback(store);
	lite->is_writing = false;
	return rc;
}

static int begin_reading(struct catalog_store *store, struct vd_error *err)
{
	struct lite_store *lite = (struct lite_store *)store;
	int rc;

	let_go_of_lookups(lite);
	rc = run_named(lite, LITE_BEGIN_READING, err);
	lite->is_reading = !rc;
	return rc;
}

/** Nothing but the file has what the catalog holds: nobody writes, or has left a log. */
static bool has_no_log(const struct lite_store *lite)
{
	char *log = NULL;
	struct stat st;
	bool has = asprintf(&log, "%s-wal", lite->path) < 0 || (stat(log, &st) == 0 && st.st_size);

	free(log);
	return !has;
}

static int end_reading(struct catalog_store *store, struct vd_error *err)
{
	struct lite_store *lite = (struct lite_store *)store;
	struct stat st, *was = &lite->apart;
	int rc = lite->is_reading ? run_named(lite, LITE_COMMIT, err) : 0;

	lite->is_reading = false;
	if (!rc && lite->is_apart &&
	    (stat(lite->path, &st) || st.st_ino != was->st_ino || st.st_size != was->st_size ||
	     st.st_mtim.tv_sec != was->st_mtim.tv_sec ||
	     st.st_mtim.tv_nsec != was->st_mtim.tv_nsec || !has_no_log(lite)))
		rc = vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				  "it was written while it was read, which can't be held off "
				  "without the right to write beside it: ask again");
	return rc;
}

static void close_store(struct catalog_store *store)
{
	struct lite_store *lite = (struct lite_store *)store;

	for (size_t i = 0; i < LITE_N_STATEMENTS; i++)
		sqlite3_finalize(lite->statements[i]);
	lite_forget_fields(lite);
	sqlite3_close(lite->db);
	free(lite->path);
	free(lite);
}

static const struct catalog_ops ops = {
    .close = close_store,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .begin_reading = begin_reading,
    .end_reading = end_reading,
    .find_path = lite_find_path,
    .find_inode = lite_find_inode,
    .each_image = lite_each_image,
    .each_unreadable = lite_each_unreadable,
    .n_images = lite_n_images,
    .last_id = lite_last_id,
    .put = lite_put,
    .move = lite_move,
    .drop = lite_drop,
    .find_part = lite_find_part,
    .put_part = lite_put_part,
    .put_root = lite_put_root,
    .each_root = lite_each_root,
    .drop_root = lite_drop_root,
    .count = lite_count,
    .clean = lite_clean,
    .each_field = lite_each_field,
    .field_id = lite_field_id,
    .each_value = lite_each_value,
    .each_holding = lite_each_holding,
    .add_images = lite_add_images,
    .each_path = lite_each_path,
    .parts_of_path = lite_parts_of_path,
    .parts_of_digest = lite_parts_of_digest,
    .each_file = lite_each_file,
    .each_known = lite_each_known,
    .value = lite_value,
};

/* ---- opening ---- */

static int execute(struct lite_store *lite, const char *sql, const char *what, struct vd_error *err)
{
	return sqlite3_exec(lite->db, sql, NULL, NULL, NULL) == SQLITE_OK
		   ? 0
		   : lite_fail(lite, what, err);
}

static int ask_number(struct lite_store *lite, const char *sql, int64_t *n, struct vd_error *err)
{
	sqlite3_stmt *statement = NULL;
	int rc = 0;

	if (sqlite3_prepare_v2(lite->db, sql, -1, &statement, NULL) != SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_ROW)
		rc = lite_fail(lite, "opening", err);
	else
		*n = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return rc;
}

/** The one thing for which SQLite doesn't wait: another process may be about to do the same. */
static int begin_log(struct lite_store *lite, struct vd_error *err)
{
	unsigned char pause;

	for (int waited = 0; waited < LITE_BUSY_MS; waited += pause % 16 + 1) {
		int code = sqlite3_exec(lite->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);

		if ((code & 0xff) != SQLITE_BUSY)
			break;
		/* Not all at the same moment again. */
		sqlite3_randomness(sizeof(pause), &pause);
		sqlite3_sleep(pause % 16 + 1);
	}
	return execute(lite, "PRAGMA journal_mode=WAL", "making the catalog", err);
}

/** Make the tables, all or none, unless another process has just done it. */
static int make_tables(struct lite_store *lite, struct vd_error *err)
{
	char pragmas[128];
	int64_t n;
	int rc = begin_log(lite, err);

	snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id=%d; PRAGMA user_version=%d",
		 LITE_APPLICATION, LITE_VERSION);
	if (!rc)
		rc = execute(lite, "BEGIN IMMEDIATE", "making the catalog", err);
	if (rc)
		return rc;
	rc = ask_number(lite, "SELECT count(*) FROM sqlite_schema", &n, err);
	if (!rc && n == 0) {
		rc = execute(lite, lite_schema, "making the catalog", err);
		if (!rc)
			rc = execute(lite, pragmas, "making the catalog", err);
	}
	if (!rc)
		rc = execute(lite, "COMMIT", "making the catalog", err);
	if (rc && !sqlite3_get_autocommit(lite->db))
		execute(lite, "ROLLBACK", "", NULL);
	return rc;
}

/** Is it ours, of a version that we know? An empty file becomes a catalog. */
static int check_kind(struct lite_store *lite, enum catalog_mode mode, struct vd_error *err)
{
	int64_t application, version, n_tables;
	/* Another process may be making it: whoever sees its tables sees its numbers, too. */
	int rc = ask_number(lite, "SELECT count(*) FROM sqlite_schema", &n_tables, err);

	if (!rc)
		rc = ask_number(lite, "PRAGMA application_id", &application, err);
	if (!rc)
		rc = ask_number(lite, "PRAGMA user_version", &version, err);
	if (rc)
		return rc;
	if (n_tables == 0 && application == 0 && mode == CATALOG_MAKE)
		return make_tables(lite, err);
	if (n_tables == 0 && application == 0)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "it is empty: `vdtool catalog sync` fills it");
	if (application != LITE_APPLICATION)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "it is the database of another program; choose another name "
				    "for the catalog");
	if (version != LITE_VERSION)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "it is a catalog of version %lld, this program knows version "
				    "%d only; sync to another file",
				    (long long)version, LITE_VERSION);
	return 0;
}

/** A new file is for its owner only: SQLite gives its companions the same rights. */
static int make_file(const char *path, enum catalog_mode mode, struct vd_error *err)
{
	struct stat st;
	int fd;

	if (stat(path, &st) == 0) {
		if (S_ISREG(st.st_mode))
			return 0;
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "it isn't a file");
	}
	if (errno == ENOENT && mode != CATALOG_MAKE)
		return vd_error_set(err, VD_ENOENT, ENOENT, VD_NO_OFFSET,
				    "there is no such catalog; `vdtool catalog sync` makes it");
	fd = errno == ENOENT ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
	if (fd < 0) {
		int failed = errno;

		/* Another sync may have made it at this moment. */
		if (failed == EEXIST && stat(path, &st) == 0 && S_ISREG(st.st_mode))
			return 0;
		return vd_error_set(err, vd_code_from_errno(failed), failed, VD_NO_OFFSET,
				    "it can't be made: %s", strerror(failed));
	}
	close(fd);
	return 0;
}

/* Nothing in a file may make SQLite do more than look things up. */
static int configure(struct lite_store *lite, struct vd_error *err)
{
	sqlite3_extended_result_codes(lite->db, 1);
	sqlite3_busy_timeout(lite->db, LITE_BUSY_MS);
	sqlite3_db_config(lite->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(lite->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(lite->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_db_config(lite->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	return execute(lite,
		       "PRAGMA cell_size_check=ON; PRAGMA synchronous=NORMAL;"
		       "PRAGMA cache_size=-16384; PRAGMA recursive_triggers=OFF",
		       "opening", err);
}

/* A name that begins with ":" means something to SQLite. */
static char *plain_path(const char *path)
{
	size_t n = strlen(path) + 3;
	char *plain = malloc(n);

	if (plain)
		snprintf(plain, n, "%s%s", path[0] == '/' ? "" : "./", path);
	return plain;
}

/** Where nothing can be made beside it (a folder of somebody else, a file system that is read-only
 *  or full), SQLite can't share the log; but without a log it isn't needed. */
static int open_apart(struct lite_store *lite, struct vd_error *err)
{
	char *name = malloc(3 * strlen(lite->path) + 32), *to = name;
	int rc = 0;

	if (!name)
		return lite_no_memory(err);
	to = stpcpy(to, "file:");
	for (const char *p = lite->path; *p; p++)
		to += sprintf(to, strchr("%?#", *p) ? "%%%02X" : "%c", (unsigned char)*p);
	strcpy(to, "?immutable=1");
	sqlite3_close(lite->db);
	lite->db = NULL;
	lite->is_apart = true;
	if (stat(lite->path, &lite->apart))
		rc = vd_error_set(err, vd_code_from_errno(errno), errno, VD_NO_OFFSET, "%s",
				  strerror(errno));
	else if (sqlite3_open_v2(name, &lite->db,
				 SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
				 NULL) != SQLITE_OK)
		rc = lite_fail(lite, "opening", err);
	free(name);
	if (!rc)
		rc = configure(lite, err);
	return rc ? rc : check_kind(lite, CATALOG_READ, err);
}

static bool is_for_want_of_log(const struct lite_store *lite)
{
	int code = lite->db ? sqlite3_errcode(lite->db) & 0xff : SQLITE_OK;

	return (code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_IOERR) &&
	       access(lite->path, R_OK) == 0 && has_no_log(lite);
}

int catalog_sqlite_open(struct catalog_store **out, const char *path, enum catalog_mode mode,
			struct vd_error *err)
{
	struct lite_store *lite = calloc(1, sizeof(*lite));
	int flags = mode == CATALOG_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	int rc = lite ? make_file(path, mode, err) : lite_no_memory(err);

	*out = NULL;
	if (rc) {
		free(lite);
		return rc;
	}
	lite->store.ops = &ops;
	lite->path = plain_path(path);
	if (!lite->path)
		rc = lite_no_memory(err);
	else if (sqlite3_open_v2(lite->path, &lite->db, flags | SQLITE_OPEN_NOMUTEX, NULL) !=
		 SQLITE_OK)
		rc = lite_fail(lite, "opening", err);
	if (!rc)
		rc = configure(lite, err);
	if (!rc)
		rc = check_kind(lite, mode, err);
	if (rc && mode == CATALOG_READ && is_for_want_of_log(lite))
		rc = open_apart(lite, err);
	if (rc) {
		close_store(&lite->store);
		return rc;
	}
	*out = &lite->store;
	return 0;
}
