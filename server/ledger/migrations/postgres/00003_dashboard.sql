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

-- What somebody was or is to be told of: see server/alert.
CREATE TABLE alerts (
    site    text   NOT NULL, -- '': all
    kind    text   NOT NULL,
    subject text   NOT NULL, -- what it is about: a host, a request's number
    text    text   NOT NULL,
    raised  bigint NOT NULL,
    told    bigint,          -- null: not yet
    cleared bigint,          -- null: it still holds
    PRIMARY KEY (site, kind, subject)
);

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
