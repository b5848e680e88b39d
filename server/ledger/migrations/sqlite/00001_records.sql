-- +goose Up

-- Times are unix milliseconds in UTC, lists are JSON, ids are the 16 bytes of a UUID.
CREATE TABLE records (
    seq      INTEGER PRIMARY KEY, -- the order of storing
    id       BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    key      BLOB    NOT NULL CHECK (length(key) = 16),
    site     TEXT    NOT NULL,
    subject  BLOB    NOT NULL CHECK (length(subject) = 16),
    previous BLOB    CHECK (length(previous) = 16), -- no foreign key: the record may be erased
    time     INTEGER NOT NULL,
    action   TEXT    NOT NULL,
    granted  TEXT    NOT NULL,
    denied   TEXT    NOT NULL,
    services TEXT    NOT NULL,
    regime   TEXT    NOT NULL,
    country  TEXT    NOT NULL,
    language TEXT    NOT NULL,
    policy   TEXT    NOT NULL,
    list     TEXT    NOT NULL,
    notice   TEXT    NOT NULL,
    surface  TEXT    NOT NULL,
    gpc      INTEGER NOT NULL,
    expiry   INTEGER, -- null: none
    UNIQUE (site, key)
) STRICT;

CREATE INDEX records_subject ON records (site, subject);

CREATE TABLE notices (
    site     TEXT    NOT NULL,
    hash     TEXT    NOT NULL,
    language TEXT    NOT NULL,
    regime   TEXT    NOT NULL,
    policy   TEXT    NOT NULL,
    text     BLOB    NOT NULL,
    time     INTEGER NOT NULL,
    PRIMARY KEY (site, hash)
) STRICT;

CREATE TABLE lists (
    site    TEXT NOT NULL,
    id      TEXT NOT NULL,
    entries TEXT NOT NULL,
    PRIMARY KEY (site, id)
) STRICT;
