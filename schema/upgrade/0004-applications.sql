-- From version 3 to version 4: applications.
.bail on
BEGIN IMMEDIATE;
PRAGMA user_version = 4;

-- Which clients may connect to which application, made by wsbridge when the
-- application authorizes one. DELETE withdraws it; callback, events and
-- expires_at may be changed.
CREATE TABLE authorizations (
	-- Clients connect to it and the application publishes to it: a secret.
	socket_id TEXT NOT NULL PRIMARY KEY
		CONSTRAINT "a socket id has 32 characters from a to z and 2 to 7"
		CHECK (length(socket_id) = 32 AND instr(socket_id, char(0)) = 0
			AND socket_id NOT GLOB '*[^a-z2-7]*'),
	-- The application.
	token_id INTEGER NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
	-- The application's name for the client.
	client TEXT NOT NULL
		CONSTRAINT "a client has 1 to 128 bytes"
		CHECK (length(CAST(client AS BLOB)) BETWEEN 1 AND 128
			AND instr(client, char(0)) = 0),
	-- The URL that is called when the client says something.
	callback TEXT NOT NULL
		CONSTRAINT "a callback is a URL of http or https without spaces and fragment, of at most 2048 bytes"
		CHECK (length(CAST(callback AS BLOB)) <= 2048
			AND (lower(callback) GLOB 'http://?*' OR lower(callback) GLOB 'https://?*')
			AND callback NOT GLOB '*[' || char(1) || '- #' || char(127) || ']*'
			AND instr(callback, char(0)) = 0),
	-- 1: connects and disconnects are called back, too.
	events INTEGER NOT NULL DEFAULT 0
		CONSTRAINT "events is 0 or 1" CHECK (events IN (0, 1)),
	-- When the client was authorized for the first time.
	created_at TEXT NOT NULL DEFAULT (datetime('now'))
		CONSTRAINT "created_at is a time in UTC such as 2030-12-31 23:59:59"
		CHECK (created_at IS datetime(created_at)),
	-- And for the last time.
	renewed_at TEXT NOT NULL DEFAULT (datetime('now'))
		CONSTRAINT "renewed_at is a time in UTC such as 2030-12-31 23:59:59"
		CHECK (renewed_at IS datetime(renewed_at)),
	-- From then on it is over; NULL: never.
	expires_at TEXT
		CONSTRAINT "expires_at is a time in UTC such as 2030-12-31 23:59:59"
		CHECK (expires_at IS datetime(expires_at)),
	UNIQUE (token_id, client)
) STRICT, WITHOUT ROWID;

-- Callbacks that were accepted and are not delivered. Those of a session are
-- sent in the order of their numbers. One that failed for callback_retry is
-- dead, and is kept for keep_sessions from when it was accepted on.
-- UPDATE outbox SET state = 'ready' WHERE ... sends them again; what is deleted
-- is not sent.
CREATE TABLE outbox (
	-- In the order in which they were accepted.
	id INTEGER PRIMARY KEY,
	-- sessions.id of the session it is from.
	session TEXT NOT NULL,
	-- Counts those of the session.
	number INTEGER NOT NULL
		CONSTRAINT "number is positive" CHECK (number > 0),
	-- The application; a token that may be gone by now.
	token_id INTEGER NOT NULL,
	-- The application's name for the client.
	client TEXT NOT NULL,
	-- Where it is sent when there is no authorization any more.
	callback TEXT NOT NULL,
	-- JSON, as it is sent.
	body TEXT NOT NULL,
	-- ready, or dead: set aside.
	state TEXT NOT NULL DEFAULT 'ready'
		CONSTRAINT "state is ready or dead" CHECK (state IN ('ready', 'dead')),
	-- How often it was tried in vain.
	attempts INTEGER NOT NULL DEFAULT 0
		CONSTRAINT "attempts is not negative" CHECK (attempts >= 0),
	-- Why the last one failed; '' before that.
	last_error TEXT NOT NULL DEFAULT '',
	-- When it was, with milliseconds: 2030-12-31 23:59:59.123.
	accepted_at TEXT NOT NULL,
	-- callback_retry counts from then; NULL: from accepted_at.
	retry_since TEXT
) STRICT;
CREATE UNIQUE INDEX outbox_lanes ON outbox (session, number);
CREATE INDEX outbox_dead ON outbox (accepted_at) WHERE state = 'dead';

-- What the administrator changed of the two tables above, for wsbridge, which
-- removes it after a minute.
CREATE TABLE application_changes (
	-- In the order of the changes; never used again.
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	-- Which table: authorization, or lane for the outbox.
	kind TEXT NOT NULL
		CONSTRAINT "kind is authorization or lane"
		CHECK (kind IN ('authorization', 'lane')),
	-- The socket id, or the session.
	name TEXT NOT NULL,
	-- When it was.
	changed_at TEXT NOT NULL DEFAULT (datetime('now')),
	UNIQUE (kind, name)
) STRICT;

CREATE TRIGGER authorizations_insert BEFORE INSERT ON authorizations BEGIN
	SELECT CASE
	WHEN NOT EXISTS (SELECT 1 FROM tokens WHERE id = NEW.token_id)
		THEN RAISE(ABORT, 'there is no token with this token_id')
	WHEN EXISTS (SELECT 1 FROM authorizations
			WHERE token_id = NEW.token_id AND client = NEW.client AND socket_id <> NEW.socket_id)
		THEN RAISE(ABORT, 'the client has another socket id')
	END;
END;
CREATE TRIGGER authorizations_update BEFORE UPDATE ON authorizations
WHEN NEW.socket_id <> OLD.socket_id OR NEW.token_id <> OLD.token_id
	OR NEW.client <> OLD.client OR NEW.created_at <> OLD.created_at BEGIN
	SELECT RAISE(ABORT, 'of an authorization its callback, events and expires_at may be changed');
END;

-- The bridge changes attempts and last_error when one has failed, state with
-- them when it is dead, and nothing else.
CREATE TRIGGER outbox_update BEFORE UPDATE OF id, session, number, token_id, client, callback, body, accepted_at ON outbox BEGIN
	SELECT RAISE(ABORT, 'of a row of the outbox only its state may be changed');
END;
CREATE TRIGGER outbox_update_attempts BEFORE UPDATE OF attempts, last_error, retry_since ON outbox
WHEN NOT (NEW.last_error <> '' AND NEW.retry_since IS OLD.retry_since
		AND (NEW.attempts = OLD.attempts + 1 OR (NEW.attempts = OLD.attempts AND NEW.state = 'dead')))
	AND NOT (NEW.last_error = '' AND NEW.attempts = 0 AND NEW.state = 'ready' AND NEW.retry_since IS NOT NULL) BEGIN
	SELECT RAISE(ABORT, 'of a row of the outbox only its state may be changed');
END;
CREATE TRIGGER outbox_update_state BEFORE UPDATE OF state ON outbox
WHEN NEW.state = 'dead' AND OLD.state = 'ready'
	AND NEW.attempts = OLD.attempts AND NEW.last_error = OLD.last_error BEGIN
	SELECT RAISE(ABORT, 'a row of the outbox becomes dead when it was tried for too long; delete what is not to be sent');
END;
-- It is as if it had been accepted now, but for its place in the order.
CREATE TRIGGER outbox_revived AFTER UPDATE OF state ON outbox WHEN NEW.state = 'ready' BEGIN
	UPDATE outbox SET attempts = 0, last_error = '', retry_since = strftime('%Y-%m-%d %H:%M:%f', 'now')
		WHERE id = NEW.id;
	INSERT INTO application_change VALUES ('lane', NEW.session);
END;

CREATE VIEW application_change AS SELECT NULL AS kind, NULL AS name;
CREATE TRIGGER application_change_insert INSTEAD OF INSERT ON application_change BEGIN
	DELETE FROM application_changes WHERE kind = NEW.kind AND name = NEW.name;
	INSERT INTO application_changes (kind, name) VALUES (NEW.kind, NEW.name);
END;
CREATE TRIGGER authorizations_inserted AFTER INSERT ON authorizations BEGIN INSERT INTO application_change VALUES ('authorization', NEW.socket_id); END;
CREATE TRIGGER authorizations_updated AFTER UPDATE ON authorizations BEGIN INSERT INTO application_change VALUES ('authorization', NEW.socket_id); END;
CREATE TRIGGER authorizations_deleted AFTER DELETE ON authorizations BEGIN INSERT INTO application_change VALUES ('authorization', OLD.socket_id); END;

DROP TRIGGER tokens_insert;
DROP TRIGGER tokens_delete;
-- REPLACE deletes a token without the trigger below: what was left of it is
-- nobody's.
CREATE TRIGGER tokens_insert AFTER INSERT ON tokens BEGIN
	DELETE FROM token_origins WHERE token_id = NEW.id;
	DELETE FROM token_targets WHERE token_id = NEW.id;
	DELETE FROM token_channels WHERE token_id = NEW.id;
	DELETE FROM token_callbacks WHERE token_id = NEW.id;
	DELETE FROM token_usage WHERE token_id = NEW.id;
	DELETE FROM authorizations WHERE token_id = NEW.id;
END;
CREATE TRIGGER tokens_delete AFTER DELETE ON tokens BEGIN
	DELETE FROM token_origins WHERE token_id = OLD.id;
	DELETE FROM token_targets WHERE token_id = OLD.id;
	DELETE FROM token_channels WHERE token_id = OLD.id;
	DELETE FROM token_callbacks WHERE token_id = OLD.id;
	DELETE FROM token_usage WHERE token_id = OLD.id;
	DELETE FROM authorizations WHERE token_id = OLD.id;
END;

DROP VIEW token_overview;
-- Every token with its rights, and each limit beside its use.
CREATE VIEW token_overview AS
SELECT t.id, t.name, t.enabled, t.admin, t.expires_at,
	(SELECT count(*) FROM sessions AS s WHERE s.token_id = t.id AND s.closed_at IS NULL) AS sockets,
	t.max_sockets,
	(SELECT count(*) FROM sessions AS s WHERE s.token_id = t.id
		AND s.opened_at > datetime('now', '-60 seconds')) AS creates_last_minute,
	t.max_creates_per_minute,
	coalesce(u.messages_up + u.messages_down, 0) AS messages_today,
	t.max_messages_per_day,
	coalesce(u.bytes_up + u.bytes_down, 0) AS bytes_today,
	t.max_bytes_per_day,
	t.max_message_bytes, t.max_queue_bytes,
	(SELECT group_concat(pattern, ' ') FROM token_origins WHERE token_id = t.id) AS origins,
	(SELECT group_concat(pattern, ' ') FROM token_targets WHERE token_id = t.id) AS targets,
	(SELECT group_concat(pattern, ' ') FROM token_channels WHERE token_id = t.id) AS channels,
	(SELECT group_concat(pattern, ' ') FROM token_callbacks WHERE token_id = t.id) AS callbacks,
	(SELECT count(*) FROM authorizations WHERE token_id = t.id) AS authorizations,
	t.note
FROM tokens AS t LEFT JOIN token_usage AS u ON u.token_id = t.id AND u.day = date('now')
ORDER BY t.name;

-- Every authorization, with the live sessions that it has.
CREATE VIEW authorization_overview AS
SELECT t.name AS application, a.client, a.socket_id, a.callback, a.events,
	coalesce(s.sessions, 0) AS sessions, a.created_at, a.renewed_at, a.expires_at
FROM authorizations AS a JOIN tokens AS t ON t.id = a.token_id
	LEFT JOIN (SELECT token_id, subject, count(*) AS sessions FROM sessions
		WHERE closed_at IS NULL AND kind = 'application' GROUP BY token_id, subject) AS s
	ON s.token_id = a.token_id AND s.subject = a.client
ORDER BY t.name, a.client;

-- What of each application's clients waits to be delivered, and what is dead.
CREATE VIEW outbox_overview AS
SELECT t.name AS application, o.client,
	sum(o.state = 'ready') AS ready, sum(o.state = 'dead') AS dead,
	sum(length(CAST(o.body AS BLOB))) AS bytes,
	min(o.accepted_at) AS oldest, max(o.attempts) AS attempts,
	-- Of the last one that has failed.
	substr(max(printf('%020d', o.id) || o.last_error) FILTER (WHERE o.last_error <> ''), 21) AS last_error
FROM outbox AS o LEFT JOIN tokens AS t ON t.id = o.token_id
GROUP BY o.token_id, o.client
ORDER BY t.name, o.client;
COMMIT;
