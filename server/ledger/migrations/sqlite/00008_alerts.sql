-- +goose Up

-- What somebody was or is to be told of: see server/alert. It has a history, and the one table of before had none.
DROP TABLE alerts;
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
