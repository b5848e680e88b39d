-- +goose Up

-- What was counted at a site on a day, by one process: see server/tally.
CREATE TABLE tallies (
    site   TEXT NOT NULL,
    day    TEXT NOT NULL, -- 2026-11-22, UTC
    writer TEXT NOT NULL, -- '': all processes, of a day that is over
    sheet  BLOB NOT NULL,
    PRIMARY KEY (site, day, writer)
) STRICT;

-- Who may open the dashboard: see server/account.
CREATE TABLE users (
    name     TEXT    PRIMARY KEY,
    role     TEXT    NOT NULL,
    password TEXT    NOT NULL, -- argon2id, as PHC strings are written; '': logs in elsewhere
    issuer   TEXT    NOT NULL, -- OpenID provider; '': logs in by password
    subject  TEXT    NOT NULL, -- who that provider says it is
    created  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX users_subject ON users (issuer, subject) WHERE issuer <> '';

CREATE TABLE sessions (
    id      BLOB    PRIMARY KEY CHECK (length(id) = 32), -- SHA-256 of what the cookie has
    name    TEXT    NOT NULL,
    created INTEGER NOT NULL,
    seen    INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_name ON sessions (name);

-- What somebody was or is to be told of: see server/alert.
CREATE TABLE alerts (
    site    TEXT    NOT NULL, -- '': all
    kind    TEXT    NOT NULL,
    subject TEXT    NOT NULL, -- what it is about: a host, a request's number
    text    TEXT    NOT NULL,
    raised  INTEGER NOT NULL,
    told    INTEGER,          -- null: not yet
    cleared INTEGER,          -- null: it still holds
    PRIMARY KEY (site, kind, subject)
) STRICT;

-- Links to figures that anybody may read: see server/share.
CREATE TABLE shares (
    id      BLOB    PRIMARY KEY CHECK (length(id) = 32), -- SHA-256 of what the link has
    site    TEXT    NOT NULL,
    label   TEXT    NOT NULL,
    epsilon REAL    NOT NULL, -- for each day
    seed    BLOB    NOT NULL, -- of its noise, which is the same whenever it is looked at
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
