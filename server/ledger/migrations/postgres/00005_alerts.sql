-- +goose Up

-- What somebody was or is to be told of: see server/alert. It has a history, and the one table of before had none.
DROP TABLE alerts;
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
