-- +goose Up

-- Records that were acknowledged while the database was away, until it has them.
CREATE TABLE spool (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of storing, in which they are brought
    id      BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    key     BLOB    NOT NULL CHECK (length(key) = 16),
    site    TEXT    NOT NULL,
    subject BLOB    NOT NULL CHECK (length(subject) = 16),
    record  TEXT    NOT NULL, -- its leaf
    UNIQUE (site, key)
) STRICT;

CREATE INDEX spool_subject ON spool (site, subject);
