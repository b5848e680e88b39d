-- +goose Up

-- Who opened or clicked which mail on which day, as long as the visitor's record in force grants the category.
CREATE TABLE mail_events (
    site     TEXT    NOT NULL,
    message  TEXT    NOT NULL,
    kind     TEXT    NOT NULL, -- open or click
    subject  BLOB    NOT NULL CHECK (length(subject) = 16),
    day      INTEGER NOT NULL, -- since 1970-01-01, UTC
    category TEXT    NOT NULL,
    times    INTEGER NOT NULL, -- in that day; an open is one
    PRIMARY KEY (site, message, kind, subject, day)
) STRICT, WITHOUT ROWID;

CREATE INDEX mail_events_subject ON mail_events (site, subject);
CREATE INDEX mail_events_day ON mail_events (site, day);
