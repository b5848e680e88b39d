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

-- What somebody was or is to be told of, with its history: see server/alert.
CREATE TABLE alerts (
    id      BLOB    PRIMARY KEY CHECK (length(id) = 16),
    site    TEXT    NOT NULL, -- '': all
    kind    TEXT    NOT NULL,
    subject TEXT    NOT NULL, -- what it is about: a host, a request's number
    owner   TEXT    NOT NULL, -- process that it is about; '': all
    text    TEXT    NOT NULL,
    raised  INTEGER NOT NULL,
    seen    INTEGER NOT NULL, -- when it held last
    cleared INTEGER           -- null: it still holds
) STRICT;
CREATE UNIQUE INDEX alerts_open ON alerts (site, kind, subject, owner) WHERE cleared IS NULL;
CREATE INDEX alerts_raised ON alerts (raised);
CREATE INDEX alerts_cleared ON alerts (cleared);

-- Who was or is to be told of it.
CREATE TABLE tellings (
    alert BLOB    NOT NULL,
    ended INTEGER NOT NULL, -- 1: that it no longer holds
    way   TEXT    NOT NULL, -- webhook or mail
    place TEXT    NOT NULL, -- host that was told; '': none yet
    told  INTEGER,          -- null: not yet
    due   INTEGER,          -- next attempt; null: there is none
    tries INTEGER NOT NULL,
    error TEXT    NOT NULL, -- of the last attempt
    PRIMARY KEY (alert, ended, way)
) STRICT;
CREATE INDEX tellings_due ON tellings (due) WHERE due IS NOT NULL;

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

-- The audit trail newest first, of one site, one act or one actor; a rowid ends each index.
CREATE INDEX audit_site ON audit (site);
CREATE INDEX audit_act ON audit (site, act);
CREATE INDEX audit_actor ON audit (site, actor);
CREATE INDEX audit_actor_act ON audit (site, actor, act);

-- Requests that wait for an answer as they are due, and the others as they were answered.
CREATE INDEX requests_open ON requests (site, due, number) WHERE answered IS NULL;
CREATE INDEX requests_answered ON requests (site, answered, number) WHERE answered IS NOT NULL;
