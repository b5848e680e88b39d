-- +goose Up

-- The numbers of the Merkle log become the order of storing. A record's salt goes with it: without both nobody can tell
-- what its leaf was made of.
ALTER TABLE records RENAME TO records_3;
DROP INDEX records_subject;

CREATE TABLE records (
    leaf     INTEGER PRIMARY KEY, -- its number in the log, never given again
    salt     BLOB    NOT NULL CHECK (length(salt) = 16),
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
    refused  TEXT    NOT NULL,
    regime   TEXT    NOT NULL,
    country  TEXT    NOT NULL,
    language TEXT    NOT NULL,
    policy   TEXT    NOT NULL,
    list     TEXT    NOT NULL,
    notice   TEXT    NOT NULL,
    surface  TEXT    NOT NULL,
    gpc      INTEGER NOT NULL,
    age      TEXT    NOT NULL, -- what the visitor said: older, younger, or was not asked
    expiry   INTEGER, -- null: none
    UNIQUE (site, key)
) STRICT;

INSERT INTO records (leaf, salt, id, key, site, subject, previous, time, action, granted, denied, services, refused, regime,
    country, language, policy, list, notice, surface, gpc, age, expiry)
SELECT row_number() OVER (ORDER BY seq) - 1, randomblob(16), id, key, site, subject, previous, time, action, granted, denied,
    services, refused, regime, country, language, policy, list, notice, surface, gpc, age, expiry
FROM records_3;

DROP TABLE records_3;

CREATE INDEX records_subject ON records (site, subject);

-- One row: the log's name, and how many leaves it has.
CREATE TABLE log (
    origin TEXT    PRIMARY KEY,
    size   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO log (origin, size) SELECT 'stile/' || lower(hex(randomblob(16))), count(*) FROM records;

-- The tree over the leaves, as far as it has been made. A tile is of height 8, and its data only ever gets longer.
CREATE TABLE tree (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    root BLOB    NOT NULL
) STRICT;

INSERT INTO tree (id, size, root) VALUES (1, 0, x'');

CREATE TABLE tiles (
    level INTEGER NOT NULL,
    n     INTEGER NOT NULL,
    data  BLOB    NOT NULL,
    PRIMARY KEY (level, n)
) STRICT;

-- What was signed: the newest, and the last one of each day.
CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    note TEXT    NOT NULL
) STRICT;
