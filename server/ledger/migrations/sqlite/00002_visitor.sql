-- +goose Up

ALTER TABLE records ADD COLUMN refused TEXT NOT NULL DEFAULT '[]';
ALTER TABLE records ADD COLUMN age TEXT NOT NULL DEFAULT ''; -- what the visitor said: older, younger, or was not asked

CREATE TABLE policies (
    seq        INTEGER PRIMARY KEY, -- the order of publication
    site       TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    hash       TEXT    NOT NULL, -- of the text, so that a text that changed under its version is kept beside the first
    text       BLOB    NOT NULL, -- Markdown, empty where there is none
    material   INTEGER NOT NULL,
    summary    TEXT    NOT NULL, -- JSON: language to words
    controller TEXT    NOT NULL,
    since      INTEGER NOT NULL,
    UNIQUE (site, version, hash)
) STRICT;

CREATE TABLE requests (
    number  TEXT    PRIMARY KEY,
    site    TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    contact TEXT    NOT NULL,
    details TEXT    NOT NULL,
    receipt BLOB    CHECK (length(receipt) = 16), -- null: the visitor had no choice
    time    INTEGER NOT NULL,
    due     INTEGER NOT NULL
) STRICT;

CREATE INDEX requests_due ON requests (site, due);
