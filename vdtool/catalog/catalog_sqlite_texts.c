/* SPDX-License-Identifier: MIT */
/* The catalog in SQLite: its tables, and all that is ever asked of them; see catalog_sqlite.h. */
#include "catalog_sqlite.h"

/* Paths are bytes; all else is UTF-8. An image's facts are packed into one blob of numbers of
 * values; `posting` is the way back. What FTS5 indexes are trigrams of keys: it keeps no text. */
const char lite_schema[] =
    "CREATE TABLE total(name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO total VALUES('images', 0);"
    "CREATE TABLE root(path BLOB PRIMARY KEY, synced INTEGER NOT NULL,"
    " is_complete INTEGER NOT NULL, n_images INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE image(id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE,"
    " device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,"
    " mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, has_sidecar INTEGER NOT NULL,"
    " s_device INTEGER NOT NULL, s_inode INTEGER NOT NULL, s_size INTEGER NOT NULL,"
    " s_mtime INTEGER NOT NULL, s_ctime INTEGER NOT NULL, code INTEGER NOT NULL,"
    " error TEXT NOT NULL, files INTEGER NOT NULL, is_unsettled INTEGER NOT NULL,"
    " folder INTEGER NOT NULL);"
    "CREATE INDEX image_inode ON image(inode, device);"
    "CREATE INDEX image_unreadable ON image(code) WHERE code <> 0;"
    "CREATE TABLE known(image INTEGER PRIMARY KEY, facts BLOB NOT NULL, parts BLOB);"
    "CREATE TABLE field(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE value(id INTEGER PRIMARY KEY, field INTEGER NOT NULL, key TEXT NOT NULL,"
    " value TEXT NOT NULL, UNIQUE(field, key, value));"
    "CREATE TABLE posting(value INTEGER NOT NULL, image INTEGER NOT NULL,"
    " PRIMARY KEY(value, image)) WITHOUT ROWID;"
    "CREATE VIRTUAL TABLE value_word USING fts5(key, content='', columnsize=0, detail=none,"
    " tokenize='trigram case_sensitive 1');"
    "CREATE TABLE path(id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);"
    "CREATE VIRTUAL TABLE path_word USING fts5(key, content='', columnsize=0, detail=none,"
    " tokenize='trigram case_sensitive 1');"
    "CREATE TABLE part(id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE,"
    " files BLOB NOT NULL);"
    "CREATE TABLE part_path(path INTEGER NOT NULL, part INTEGER NOT NULL,"
    " PRIMARY KEY(path, part)) WITHOUT ROWID;"
    "CREATE TABLE part_digest(start INTEGER NOT NULL, part INTEGER NOT NULL,"
    " PRIMARY KEY(start, part)) WITHOUT ROWID;";

#define IMAGE_COLUMNS                                                                              \
	"id, path, device, inode, size, mtime, ctime, has_sidecar, s_device, s_inode, s_size, "    \
	"s_mtime, s_ctime, code, error, files, is_unsettled, folder"
#define VALUE_COLUMNS "v.id, f.name, v.value, v.key"
#define VALUE_TABLES  "value v JOIN field f ON f.id = v.field"

/* CROSS JOIN: what the words lead to is looked up, never the other way round, which SQLite may
 * choose where a field has many values. */
const char *const lite_texts[LITE_N_STATEMENTS] = {
    [LITE_BEGIN_WRITING] = "BEGIN IMMEDIATE",
    [LITE_BEGIN_READING] = "BEGIN",
    [LITE_COMMIT] = "COMMIT",
    [LITE_ROLLBACK] = "ROLLBACK",
    [LITE_IMAGE_BY_PATH] = "SELECT " IMAGE_COLUMNS " FROM image WHERE path = ?1",
    [LITE_IMAGES_BY_INODE] = "SELECT " IMAGE_COLUMNS " FROM image WHERE inode = ?1 AND device = ?2",
    [LITE_IMAGES] = "SELECT " IMAGE_COLUMNS " FROM image ORDER BY id",
    [LITE_IMAGES_BELOW] = "SELECT " IMAGE_COLUMNS " FROM image WHERE path = ?1 OR"
			  " (path >= ?2 AND path < ?3) ORDER BY id",
    [LITE_IMAGES_UNREADABLE] =
	"SELECT " IMAGE_COLUMNS
	" FROM image INDEXED BY image_unreadable WHERE code <> 0 ORDER BY path",
    [LITE_LAST_IMAGE] = "SELECT coalesce(max(id), 0) FROM image",
    [LITE_IMAGE_PUT] =
	"INSERT INTO image(path, device, inode, size, mtime, ctime, has_sidecar,"
	" s_device, s_inode, s_size, s_mtime, s_ctime, code, error, files,"
	" is_unsettled, folder) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
	" ?13, ?14, ?15, ?16, ?17)",
    [LITE_IMAGE_CHANGE] =
	"UPDATE image SET path = ?1, device = ?2, inode = ?3, size = ?4, mtime = ?5,"
	" ctime = ?6, has_sidecar = ?7, s_device = ?8, s_inode = ?9, s_size = ?10,"
	" s_mtime = ?11, s_ctime = ?12, code = ?13, error = ?14, files = ?15,"
	" is_unsettled = ?16, folder = ?17 WHERE id = ?18",
    [LITE_IMAGE_MOVE] =
	"UPDATE image SET path = ?1, device = ?2, inode = ?3, size = ?4, mtime = ?5,"
	" ctime = ?6, has_sidecar = ?7, s_device = ?8, s_inode = ?9, s_size = ?10,"
	" s_mtime = ?11, s_ctime = ?12, folder = ?13 WHERE id = ?14",
    [LITE_IMAGE_DROP] = "DELETE FROM image WHERE id = ?1",
    [LITE_KNOWN_GET] = "SELECT facts, parts FROM known WHERE image = ?1",
    [LITE_KNOWN_PUT] = "INSERT OR REPLACE INTO known(image, facts, parts) VALUES(?1, ?2, ?3)",
    [LITE_KNOWN_SET_FACTS] = "UPDATE known SET facts = ?2 WHERE image = ?1",
    [LITE_KNOWN_DROP] = "DELETE FROM known WHERE image = ?1",
    [LITE_FIELD_GET] = "SELECT id FROM field WHERE name = ?1",
    [LITE_FIELD_PUT] = "INSERT INTO field(name) VALUES(?1)",
    [LITE_FIELDS] = "SELECT id, name FROM field",
    [LITE_FIELD_IS_LARGE] = "SELECT 1 FROM value WHERE field = ?1 LIMIT 1 OFFSET 4000",
    [LITE_VALUE_FIND] = "SELECT id FROM value WHERE field = ?1 AND key = ?2 AND value = ?3",
    [LITE_VALUE_PUT] = "INSERT INTO value(field, key, value) VALUES(?1, ?2, ?3)",
    [LITE_VALUE_WORD_PUT] = "INSERT INTO value_word(rowid, key) VALUES(?1, ?2)",
    [LITE_VALUE_GET] = "SELECT " VALUE_COLUMNS " FROM " VALUE_TABLES " WHERE v.id = ?1",
    [LITE_VALUES] = "SELECT " VALUE_COLUMNS " FROM " VALUE_TABLES " WHERE v.field = ?1",
    [LITE_VALUES_ALL] = "SELECT " VALUE_COLUMNS " FROM " VALUE_TABLES,
    [LITE_VALUES_KEY] =
	"SELECT " VALUE_COLUMNS " FROM " VALUE_TABLES " WHERE v.field = ?1 AND v.key = ?2",
    [LITE_VALUES_PREFIX] = "SELECT " VALUE_COLUMNS " FROM " VALUE_TABLES
			   " WHERE v.field = ?1 AND v.key >= ?2 AND v.key < ?3",
    [LITE_VALUES_HOLDING] = "SELECT " VALUE_COLUMNS " FROM value_word w CROSS JOIN value v ON"
			    " v.id = w.rowid JOIN field f ON f.id = v.field"
			    " WHERE value_word MATCH ?1 AND v.field = ?2",
    [LITE_VALUES_HOLDING_ALL] = "SELECT " VALUE_COLUMNS " FROM value_word w CROSS JOIN value v ON"
				" v.id = w.rowid JOIN field f ON f.id = v.field"
				" WHERE value_word MATCH ?1",
    [LITE_POSTING_PUT] = "INSERT OR IGNORE INTO posting VALUES(?1, ?2)",
    [LITE_POSTING_DROP] = "DELETE FROM posting WHERE value = ?1 AND image = ?2",
    [LITE_POSTINGS] = "SELECT image FROM posting WHERE value = ?1",
    [LITE_PATH_FIND] = "SELECT id FROM path WHERE path = ?1",
    [LITE_PATH_PUT] = "INSERT INTO path(path) VALUES(?1)",
    [LITE_PATH_WORD_PUT] = "INSERT INTO path_word(rowid, key) VALUES(?1, ?2)",
    [LITE_PATH_GET] = "SELECT path FROM path WHERE id = ?1",
    [LITE_PATHS] = "SELECT id, path FROM path",
    [LITE_PATHS_HOLDING] =
	"SELECT p.id, p.path FROM path_word w CROSS JOIN path p ON p.id = w.rowid"
	" WHERE path_word MATCH ?1",
    [LITE_PART_FIND] = "SELECT id FROM part WHERE digest = ?1",
    [LITE_PART_PUT] = "INSERT INTO part(digest, files) VALUES(?1, ?2)",
    [LITE_PART_GET] = "SELECT files FROM part WHERE id = ?1",
    [LITE_PART_PATH_PUT] = "INSERT OR IGNORE INTO part_path VALUES(?1, ?2)",
    [LITE_PART_DIGEST_PUT] = "INSERT OR IGNORE INTO part_digest VALUES(?1, ?2)",
    [LITE_PARTS_OF_PATH] = "SELECT part FROM part_path WHERE path = ?1",
    [LITE_PARTS_OF_DIGEST] = "SELECT part FROM part_digest WHERE start = ?1",
    [LITE_ROOT_PUT] = "INSERT OR REPLACE INTO root VALUES(?1, ?2, ?3, ?4)",
    [LITE_ROOTS] = "SELECT path, synced, is_complete, n_images FROM root ORDER BY path",
    [LITE_ROOT_DROP] = "DELETE FROM root WHERE path = ?1",
    [LITE_KNOWN_ALL] = "SELECT id, path, mtime, code, files, k.facts, k.parts FROM image"
		       " LEFT JOIN known k ON k.image = id ORDER BY id",
    [LITE_KNOWN_ONE] = "SELECT id, path, mtime, code, files, k.facts, k.parts FROM image"
		       " LEFT JOIN known k ON k.image = id WHERE id = ?1",
    [LITE_N_IMAGES_GET] = "SELECT n FROM total WHERE name = 'images'",
    [LITE_N_IMAGES_ADD] = "UPDATE total SET n = n + ?1 WHERE name = 'images'",
    [LITE_COUNTS] =
	"SELECT (SELECT n FROM total WHERE name = 'images'),"
	" (SELECT count(*) FROM image WHERE code <> 0),"
	" (SELECT count(*) FROM known WHERE parts IS NOT NULL), (SELECT count(*) FROM value),"
	" (SELECT count(*) FROM path), (SELECT count(*) FROM part)",
};
