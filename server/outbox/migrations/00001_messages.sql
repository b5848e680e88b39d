-- +goose Up

-- Times are unix milliseconds in UTC, ids are the 16 bytes of a UUID. A number is never used twice: what was forgotten
-- while it was under way must not stand for a later message.
CREATE TABLE messages (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    id       BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    site     TEXT    NOT NULL,
    tag      TEXT    NOT NULL,
    subject  BLOB    CHECK (length(subject) = 16), -- null: it stands on nobody's consent
    method   TEXT    NOT NULL,
    url      TEXT    NOT NULL,
    header   TEXT    NOT NULL, -- JSON: name to values
    body     BLOB    NOT NULL,
    added    INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due      INTEGER NOT NULL
) STRICT;

CREATE INDEX messages_subject ON messages (site, subject) WHERE subject IS NOT NULL;

-- What was added lately, sent or not: a hash of site, tag and key, which tells nothing of anybody.
CREATE TABLE keys (
    hash    BLOB    NOT NULL PRIMARY KEY,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX keys_expires ON keys (expires);
