-- +goose Up

-- Who looked at, exported, changed or erased which records. An entry is a leaf of the same log as the records are.
CREATE TABLE audit (
    leaf   bigint PRIMARY KEY,
    salt   bytea  NOT NULL CHECK (length(salt) = 16),
    time   bigint NOT NULL,
    actor  text   NOT NULL,
    act    text   NOT NULL,
    site   text   NOT NULL, -- '': all
    leaves text   NOT NULL, -- of the records that it is about: "5,17,20-25"
    count  bigint NOT NULL,
    detail text   NOT NULL
);

ALTER TABLE requests ADD COLUMN answered bigint; -- null: not yet
ALTER TABLE requests ADD COLUMN note text NOT NULL DEFAULT '';
CREATE INDEX requests_receipt ON requests (site, receipt);

-- What is left of records that were made anonymous: how many of a kind there were in a month.
CREATE TABLE history (
    site    text   NOT NULL,
    month   text   NOT NULL, -- 2026-11, UTC
    action  text   NOT NULL,
    granted text   NOT NULL,
    denied  text   NOT NULL,
    regime  text   NOT NULL,
    policy  text   NOT NULL,
    surface text   NOT NULL,
    times   bigint NOT NULL,
    PRIMARY KEY (site, month, action, granted, denied, regime, policy, surface)
);

-- Which process does what only one is to do at a time.
CREATE TABLE claims (
    name   text   PRIMARY KEY,
    holder text   NOT NULL,
    until  bigint NOT NULL -- then it is anybody's
);
