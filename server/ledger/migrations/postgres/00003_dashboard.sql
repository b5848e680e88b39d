-- +goose Up

-- What was counted at a site on a day, by one process: see server/tally.
CREATE TABLE tallies (
    site   text NOT NULL,
    day    text NOT NULL, -- 2026-11-22, UTC
    writer text NOT NULL, -- '': all processes, of a day that is over
    sheet  bytea NOT NULL,
    PRIMARY KEY (site, day, writer)
);

-- Who may open the dashboard: see server/account.
CREATE TABLE users (
    name     text   PRIMARY KEY,
    role     text   NOT NULL,
    password text   NOT NULL, -- argon2id, as PHC strings are written; '': logs in elsewhere
    issuer   text   NOT NULL, -- OpenID provider; '': logs in by password
    subject  text   NOT NULL, -- who that provider says it is
    created  bigint NOT NULL
);
CREATE UNIQUE INDEX users_subject ON users (issuer, subject) WHERE issuer <> '';

CREATE TABLE sessions (
    id      bytea  PRIMARY KEY CHECK (length(id) = 32), -- SHA-256 of what the cookie has
    name    text   NOT NULL,
    created bigint NOT NULL,
    seen    bigint NOT NULL,
    expires bigint NOT NULL
);
CREATE INDEX sessions_name ON sessions (name);

-- What somebody was or is to be told of, with its history: see server/alert.
CREATE TABLE alerts (
    id      bytea  PRIMARY KEY CHECK (length(id) = 16),
    site    text   NOT NULL, -- '': all
    kind    text   NOT NULL,
    subject text   NOT NULL, -- what it is about: a host, a request's number
    owner   text   NOT NULL, -- process that it is about; '': all
    text    text   NOT NULL,
    raised  bigint NOT NULL,
    seen    bigint NOT NULL, -- when it held last
    cleared bigint           -- null: it still holds
);
CREATE UNIQUE INDEX alerts_open ON alerts (site, kind, subject, owner) WHERE cleared IS NULL;
CREATE INDEX alerts_raised ON alerts (raised);
CREATE INDEX alerts_cleared ON alerts (cleared);

-- Who was or is to be told of it.
CREATE TABLE tellings (
    alert bytea  NOT NULL,
    ended bigint NOT NULL, -- 1: that it no longer holds
    way   text   NOT NULL, -- webhook or mail
    place text   NOT NULL, -- host that was told; '': none yet
    told  bigint,         -- null: not yet
    due   bigint,         -- next attempt; null: there is none
    tries bigint NOT NULL,
    error text   NOT NULL, -- of the last attempt
    PRIMARY KEY (alert, ended, way)
);
CREATE INDEX tellings_due ON tellings (due) WHERE due IS NOT NULL;

-- Links to figures that anybody may read: see server/share.
CREATE TABLE shares (
    id      bytea  PRIMARY KEY CHECK (length(id) = 32), -- SHA-256 of what the link has
    site    text   NOT NULL,
    label   text   NOT NULL,
    epsilon double precision NOT NULL, -- for each day
    seed    bytea  NOT NULL, -- of its noise, which is the same whenever it is looked at
    created bigint NOT NULL,
    expires bigint NOT NULL
);

-- The audit trail newest first, of one site, one act or one actor.
CREATE INDEX audit_site ON audit (site, leaf);
CREATE INDEX audit_act ON audit (site, act, leaf);
CREATE INDEX audit_actor ON audit (site, actor, leaf);
CREATE INDEX audit_actor_act ON audit (site, actor, act, leaf);

-- Requests that wait for an answer as they are due, and the others as they were answered.
CREATE INDEX requests_open ON requests (site, due, number) WHERE answered IS NULL;
CREATE INDEX requests_answered ON requests (site, answered, number) WHERE answered IS NOT NULL;
