-- +goose Up

-- Who looked at, exported, changed or erased which records. An entry is a leaf of the same log as the records are.
CREATE TABLE audit (
    leaf   INTEGER PRIMARY KEY,
    salt   BLOB    NOT NULL CHECK (length(salt) = 16),
    time   INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    act    TEXT    NOT NULL,
    site   TEXT    NOT NULL, -- '': all
    leaves TEXT    NOT NULL, -- of the records that it is about: "5,17,20-25"
    count  INTEGER NOT NULL,
    detail TEXT    NOT NULL
) STRICT;

ALTER TABLE requests ADD COLUMN answered INTEGER; -- null: not yet
ALTER TABLE requests ADD COLUMN note TEXT NOT NULL DEFAULT '';
CREATE INDEX requests_receipt ON requests (site, receipt);

-- What is left of records that were made anonymous: how many of a kind there were in a month.
CREATE TABLE history (
    site    TEXT    NOT NULL,
    month   TEXT    NOT NULL, -- 2026-11, UTC
    action  TEXT    NOT NULL,
    granted TEXT    NOT NULL,
    denied  TEXT    NOT NULL,
    regime  TEXT    NOT NULL,
    policy  TEXT    NOT NULL,
    surface TEXT    NOT NULL,
    times   INTEGER NOT NULL,
    PRIMARY KEY (site, month, action, granted, denied, regime, policy, surface)
) STRICT, WITHOUT ROWID;

-- Which process does what only one is to do at a time.
CREATE TABLE claims (
    name   TEXT    PRIMARY KEY,
    holder TEXT    NOT NULL,
    until  INTEGER NOT NULL -- then it is anybody's
) STRICT, WITHOUT ROWID;
