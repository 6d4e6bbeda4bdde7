-- The database of polysocket, version 4.
--
--   sqlite3 /var/lib/polysocket/polysocket.db < schema.sql
--   wsbridge --init-db
--
-- do the same. The tables of the first half belong to the administrator, who
-- changes them with sqlite3 at any time; each change takes effect within a
-- second. Those of the second half are written by wsbridge and are for reading,
-- but for sessions.close_requested, outbox.state, and what authorizations say
-- of themselves; rows of channel_events, authorizations and outbox may be
-- deleted.
--
-- All times are text in UTC, such as 2030-12-31 23:59:59.
.bail on
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
PRAGMA application_id = 0x506f6c79; -- "Poly": whose file this is
PRAGMA user_version = 4;            -- the version of the schema

-- ---------------------------------------------------------------------------
-- Who may what

-- A token is a secret with rights. Limits that are NULL do not exist.
CREATE TABLE tokens (
	-- Never used again, so that records can name a token that is gone.
	id INTEGER PRIMARY KEY AUTOINCREMENT
		CONSTRAINT "id is positive" CHECK (id > 0),
	-- For people. The token named anonymous stands for requests without one.
	name TEXT NOT NULL UNIQUE
		CONSTRAINT "a name has 1 to 64 characters, none of them a control character"
		CHECK (length(name) BETWEEN 1 AND 64 AND instr(name, char(0)) = 0
			AND name NOT GLOB '*[' || char(1) || '-' || char(31) || char(127) || ']*'),
	-- Write-only: a trigger puts its hash in the next column and NULL here.
	secret TEXT
		CONSTRAINT "a secret has 1 to 128 characters, all of them printable ASCII without space"
		CHECK (length(secret) BETWEEN 1 AND 128 AND instr(secret, char(0)) = 0
			AND secret NOT GLOB '*[^!-~]*'),
	-- SHA3-256 of the secret; NULL for anonymous only.
	secret_hash BLOB UNIQUE
		CONSTRAINT "secret_hash is a blob of 32 bytes"
		CHECK (length(secret_hash) = 32),
	-- 0 refuses the token and closes its sessions.
	enabled INTEGER NOT NULL DEFAULT 1
		CONSTRAINT "enabled is 0 or 1" CHECK (enabled IN (0, 1)),
	-- 1 lets it read metrics and stats.
	admin INTEGER NOT NULL DEFAULT 0
		CONSTRAINT "admin is 0 or 1" CHECK (admin IN (0, 1)),
	-- Whether it may be used where no origin is sent, that is, not by a page.
	allow_no_origin INTEGER NOT NULL DEFAULT 1
		CONSTRAINT "allow_no_origin is 0 or 1" CHECK (allow_no_origin IN (0, 1)),
	-- From then on it is refused and its sessions are closed; NULL: never.
	expires_at TEXT,
	-- Whatever the administrator wants to remember.
	note TEXT NOT NULL DEFAULT '',
	-- When the row was made.
	created_at TEXT NOT NULL DEFAULT (datetime('now'))
		CONSTRAINT "created_at is a time in UTC such as 2030-12-31 23:59:59"
		CHECK (created_at IS datetime(created_at)),

	-- Sessions that are open at once.
	max_sockets INTEGER
		CONSTRAINT "max_sockets is not negative" CHECK (max_sockets >= 0),
	-- Sessions that are begun within any 60 seconds.
	max_creates_per_minute INTEGER
		CONSTRAINT "max_creates_per_minute is not negative"
		CHECK (max_creates_per_minute >= 0),
	-- Messages, both directions together, from midnight to midnight.
	max_messages_per_day INTEGER
		CONSTRAINT "max_messages_per_day is not negative"
		CHECK (max_messages_per_day >= 0),
	-- Bytes of these messages.
	max_bytes_per_day INTEGER
		CONSTRAINT "max_bytes_per_day is not negative"
		CHECK (max_bytes_per_day >= 0),
	-- Bytes of one message, where the option max_message is not smaller.
	max_message_bytes INTEGER
		CONSTRAINT "max_message_bytes is not negative"
		CHECK (max_message_bytes >= 0),
	-- Bytes that wait in a session in each direction, where the option
	-- queue_bytes is not smaller.
	max_queue_bytes INTEGER
		CONSTRAINT "max_queue_bytes is not negative"
		CHECK (max_queue_bytes >= 0),

	-- What callbacks are signed with: whsec_ and 24 random bytes in base64.
	-- The database makes it with the row, and a new one where it is set NULL.
	callback_key TEXT
		CONSTRAINT "callback_key is whsec_ followed by base64 of 24 to 64 bytes"
		CHECK (callback_key GLOB 'whsec_*' AND instr(callback_key, char(0)) = 0
			AND length(callback_key) BETWEEN 6 + 32 AND 6 + 88
			AND length(callback_key) % 4 = 6 % 4
			AND rtrim(substr(callback_key, 7), '=') NOT GLOB '*[^A-Za-z0-9+/]*'
			AND callback_key NOT GLOB '*==='),
	-- 1: publishing needs the application id too, not only the socket id.
	publish_auth INTEGER NOT NULL DEFAULT 0
		CONSTRAINT "publish_auth is 0 or 1" CHECK (publish_auth IN (0, 1)),
	-- 0: SockJS clients of the application are offered no WebSocket.
	sockjs_websocket INTEGER NOT NULL DEFAULT 1
		CONSTRAINT "sockjs_websocket is 0 or 1"
		CHECK (sockjs_websocket IN (0, 1)),
	-- 1: SockJS sets the cookie JSESSIONID for a load balancer.
	sockjs_cookie INTEGER NOT NULL DEFAULT 0
		CONSTRAINT "sockjs_cookie is 0 or 1" CHECK (sockjs_cookie IN (0, 1))
) STRICT;

-- Use from pages of these origins: https://example.com, https://*.example.com,
-- https://example.com:*, *://example.com, null, or * for any.
CREATE TABLE token_origins (
	-- Whose right it is.
	token_id INTEGER NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
	-- As above.
	pattern TEXT NOT NULL,
	PRIMARY KEY (token_id, pattern)
) STRICT, WITHOUT ROWID;

-- Relaying to these WebSocket URLs: wss://chat.example.com/room*.
CREATE TABLE token_targets (
	-- Whose right it is.
	token_id INTEGER NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
	-- As above.
	pattern TEXT NOT NULL,
	PRIMARY KEY (token_id, pattern)
) STRICT, WITHOUT ROWID;

-- Channels of these names, or of those that begin so: news, or chat-*.
CREATE TABLE token_channels (
	-- Whose right it is.
	token_id INTEGER NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
	-- As above.
	pattern TEXT NOT NULL
		CONSTRAINT "a channel pattern has 1 to 128 bytes, no control character, and a * at its end only"
		CHECK (length(CAST(pattern AS BLOB)) BETWEEN 1 AND 128
			AND pattern NOT GLOB '*[' || char(1) || '-' || char(31) || char(127) || ']*'
			AND instr(pattern, char(0)) = 0
			AND instr(substr(pattern, 1, length(pattern) - 1), '*') = 0),
	-- Whether it may send to them.
	may_emit INTEGER NOT NULL DEFAULT 0
		CONSTRAINT "may_emit is 0 or 1" CHECK (may_emit IN (0, 1)),
	-- Whether it may receive from them.
	may_listen INTEGER NOT NULL DEFAULT 1
		CONSTRAINT "may_listen is 0 or 1" CHECK (may_listen IN (0, 1)),
	PRIMARY KEY (token_id, pattern)
) STRICT, WITHOUT ROWID;

-- Being an application with callbacks below these URLs:
-- https://app.example.com/callback*. Its id is the token's secret.
CREATE TABLE token_callbacks (
	-- Whose right it is.
	token_id INTEGER NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
	-- As above.
	pattern TEXT NOT NULL,
	PRIMARY KEY (token_id, pattern)
) STRICT, WITHOUT ROWID;

-- One row. Triggers raise the revision with every change of the tables above,
-- and the programs read these again when it was raised. A new database starts
-- at its time of birth, in milliseconds, above those it may replace.
CREATE TABLE policy (
	-- As above.
	revision INTEGER NOT NULL
) STRICT;
INSERT INTO policy VALUES (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER));
CREATE TRIGGER policy_insert BEFORE INSERT ON policy BEGIN
	SELECT RAISE(ABORT, 'policy has one row');
END;
CREATE TRIGGER policy_update BEFORE UPDATE ON policy WHEN NEW.revision <= OLD.revision BEGIN
	SELECT RAISE(ABORT, 'the revision of the policy only rises');
END;
CREATE TRIGGER policy_delete BEFORE DELETE ON policy BEGIN
	SELECT RAISE(ABORT, 'policy has one row');
END;

-- ---------------------------------------------------------------------------
-- What makes sense. Triggers rather than foreign keys, which the sqlite3
-- program does not enforce unless it is told to.

-- All checks are made before the row is written: a statement that fails within
-- a transaction may leave in free pages of the file what it had written.
CREATE TRIGGER tokens_before_insert BEFORE INSERT ON tokens BEGIN
	SELECT CASE
	WHEN NEW.name = 'anonymous' AND coalesce(NEW.secret, NEW.secret_hash) IS NOT NULL
		THEN RAISE(ABORT, 'the token anonymous has no secret')
	WHEN NEW.name <> 'anonymous' AND coalesce(NEW.secret, NEW.secret_hash) IS NULL
		THEN RAISE(ABORT, 'a token needs a secret; only anonymous has none')
	WHEN EXISTS (SELECT 1 FROM tokens WHERE id = NEW.id)
		THEN RAISE(ABORT, 'there is a token with this id')
	WHEN EXISTS (SELECT 1 FROM tokens WHERE secret_hash IN (NEW.secret_hash, sha3(NEW.secret, 256)) AND name <> NEW.name)
		THEN RAISE(ABORT, 'another token has this secret')
	WHEN NEW.secret IS NOT NULL AND (SELECT secure_delete FROM pragma_secure_delete) = 0
		THEN RAISE(ABORT, 'the secret would stay readable in the file: say PRAGMA secure_delete = ON first')
	WHEN NEW.expires_at IS NOT NULL AND (coalesce(datetime(NEW.expires_at) < '2000-01-02', 1)
			-- SQLite takes the 31st of February for the 3rd of March.
			OR (NEW.expires_at GLOB '????-??-??*' AND date(substr(NEW.expires_at, 1, 10), '+0 days') IS NOT substr(NEW.expires_at, 1, 10)))
		THEN RAISE(ABORT, 'expires_at is no time in UTC such as 2030-12-31 23:59:59')
	END;
END;

CREATE TRIGGER tokens_before_update BEFORE UPDATE OF id, name, secret, secret_hash, expires_at ON tokens BEGIN
	SELECT CASE
	WHEN NEW.id <> OLD.id
		THEN RAISE(ABORT, 'the id of a token does not change')
	WHEN NEW.name = 'anonymous' AND coalesce(NEW.secret, NEW.secret_hash) IS NOT NULL
		THEN RAISE(ABORT, 'the token anonymous has no secret')
	WHEN NEW.name <> 'anonymous' AND coalesce(NEW.secret, NEW.secret_hash) IS NULL
		THEN RAISE(ABORT, 'a token needs a secret; only anonymous has none')
	WHEN NEW.name <> OLD.name AND EXISTS (SELECT 1 FROM tokens WHERE name = NEW.name)
		THEN RAISE(ABORT, 'there is a token of that name')
	WHEN EXISTS (SELECT 1 FROM tokens WHERE secret_hash IN (NEW.secret_hash, sha3(NEW.secret, 256)) AND id <> OLD.id)
		THEN RAISE(ABORT, 'another token has this secret')
	WHEN NEW.secret IS NOT NULL AND (SELECT secure_delete FROM pragma_secure_delete) = 0
		THEN RAISE(ABORT, 'the secret would stay readable in the file: say PRAGMA secure_delete = ON first')
	WHEN NEW.expires_at IS NOT NULL AND (coalesce(datetime(NEW.expires_at) < '2000-01-02', 1)
			-- SQLite takes the 31st of February for the 3rd of March.
			OR (NEW.expires_at GLOB '????-??-??*' AND date(substr(NEW.expires_at, 1, 10), '+0 days') IS NOT substr(NEW.expires_at, 1, 10)))
		THEN RAISE(ABORT, 'expires_at is no time in UTC such as 2030-12-31 23:59:59')
	END;
END;

CREATE TRIGGER tokens_hash_inserted AFTER INSERT ON tokens WHEN NEW.secret IS NOT NULL BEGIN
	UPDATE tokens SET secret = NULL, secret_hash = sha3(NEW.secret, 256) WHERE id = NEW.id;
END;
CREATE TRIGGER tokens_hash_updated AFTER UPDATE OF secret ON tokens WHEN NEW.secret IS NOT NULL BEGIN
	UPDATE tokens SET secret = NULL, secret_hash = sha3(NEW.secret, 256) WHERE id = NEW.id;
END;

-- Any time that SQLite understands is kept in the one form.
CREATE TRIGGER tokens_expiry_inserted AFTER INSERT ON tokens WHEN NEW.expires_at IS NOT datetime(NEW.expires_at) BEGIN
	UPDATE tokens SET expires_at = datetime(NEW.expires_at) WHERE id = NEW.id;
END;
CREATE TRIGGER tokens_expiry_updated AFTER UPDATE OF expires_at ON tokens WHEN NEW.expires_at IS NOT datetime(NEW.expires_at) BEGIN
	UPDATE tokens SET expires_at = datetime(NEW.expires_at) WHERE id = NEW.id;
END;

-- 32 characters of base64, each drawn by itself, are 24 random bytes.
CREATE TRIGGER tokens_callback_key_inserted AFTER INSERT ON tokens WHEN NEW.callback_key IS NULL BEGIN
	UPDATE tokens SET callback_key = NULL WHERE id = NEW.id;
END;
CREATE TRIGGER tokens_callback_key_updated AFTER UPDATE OF callback_key ON tokens WHEN NEW.callback_key IS NULL BEGIN
	UPDATE tokens SET callback_key = 'whsec_' || (
		SELECT group_concat(substr('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 1 + (random() & 63), 1), '')
		FROM (VALUES (1), (2), (3), (4)), (VALUES (1), (2), (3), (4)), (VALUES (1), (2)))
	WHERE id = NEW.id;
END;

-- Refuses what is no IPv6 address. Its parts are told apart as JSON.
CREATE VIEW address_check AS SELECT NULL AS address;
CREATE TRIGGER address_check_insert INSTEAD OF INSERT ON address_check BEGIN
	SELECT CASE WHEN
		NEW.address GLOB '*[^0-9A-Fa-f:.]*' OR NEW.address GLOB '*.*:*'
		-- Colons stand between groups, a double one stands once.
		OR NEW.address NOT GLOB '*:*' OR NEW.address GLOB '*:::*' OR NEW.address GLOB '*::*::*'
		OR NEW.address GLOB ':[^:]*' OR NEW.address GLOB '*[^:]:'
		-- Groups have four digits; an IPv4 address at the end stands for two of eight.
		OR groups + 2 * (quad <> '') NOT BETWEEN (CASE WHEN NEW.address GLOB '*::*' THEN 0 ELSE 8 END)
			AND (CASE WHEN NEW.address GLOB '*::*' THEN 7 ELSE 8 END)
		OR longest > 4
		OR (quad <> '' AND (SELECT count(*) <> 4 OR max(value <> CAST(CAST(value AS INTEGER) AS TEXT) OR CAST(value AS INTEGER) > 255)
			FROM json_each('["' || replace(quad, '.', '","') || '"]')))
		THEN RAISE(ABORT, 'what is in brackets is no IPv6 address')
	END
	FROM (SELECT *, (SELECT count(*) FROM json_each(parts) WHERE value <> '' AND value NOT GLOB '*.*') AS groups,
		(SELECT max(length(value)) FROM json_each(parts) WHERE value NOT GLOB '*.*') AS longest,
		coalesce((SELECT max(value) FROM json_each(parts) WHERE value GLOB '*.*'), '') AS quad
	FROM (SELECT CASE WHEN NEW.address NOT GLOB '*[^0-9A-Fa-f:.]*'
		THEN '["' || replace(NEW.address, ':', '","') || '"]' ELSE '[""]' END AS parts));
END;

-- Refuses what is no pattern: scheme://host[:port][path] of the given kind.
CREATE VIEW pattern_check AS SELECT NULL AS kind, NULL AS token_id, NULL AS pattern;
CREATE TRIGGER pattern_check_insert INSTEAD OF INSERT ON pattern_check
WHEN NOT (NEW.kind = 'origin' AND NEW.pattern IN ('*', 'null')
	AND EXISTS (SELECT 1 FROM tokens WHERE id = NEW.token_id)) BEGIN
	SELECT CASE
	WHEN NOT EXISTS (SELECT 1 FROM tokens WHERE id = NEW.token_id)
		THEN RAISE(ABORT, 'there is no token with this token_id')
	WHEN length(CAST(NEW.pattern AS BLOB)) > 1024
		THEN RAISE(ABORT, 'a pattern has at most 1024 bytes')
	WHEN NEW.pattern GLOB '*[' || char(1) || '- ' || char(127) || ']*' OR instr(NEW.pattern, char(0)) > 0
		THEN RAISE(ABORT, 'a pattern has no spaces and no control characters')
	WHEN NEW.kind = 'target' AND scheme NOT IN ('ws', 'wss', '*')
		THEN RAISE(ABORT, 'the pattern of a target begins with ws://, wss:// or *://')
	WHEN NEW.kind = 'callback' AND scheme NOT IN ('http', 'https', '*')
		THEN RAISE(ABORT, 'the pattern of a callback begins with http://, https:// or *://')
	WHEN NEW.kind = 'origin' AND scheme <> '*' AND (scheme NOT GLOB '[a-z]*' OR scheme GLOB '*[^a-z0-9+.-]*')
		THEN RAISE(ABORT, 'the pattern of an origin is *, null, or begins with a scheme such as https:// or with *://')
	WHEN instr(authority, '@') > 0
		THEN RAISE(ABORT, 'a pattern has no user information')
	WHEN instr(NEW.pattern, '#') > 0
		THEN RAISE(ABORT, 'a pattern has no fragment')
	WHEN host IN ('', '[]')
		THEN RAISE(ABORT, 'a pattern needs a host')
	WHEN name GLOB '*[*]*'
		THEN RAISE(ABORT, 'a * in the host stands alone or for the first labels, as in *.example.com')
	WHEN name <> host AND (name GLOB '[[]*' OR name NOT GLOB '*[^0-9.]*')
		THEN RAISE(ABORT, 'a * in the host stands for labels of a name, not for parts of an address')
	WHEN name GLOB '.*' OR name GLOB '*..*'
		THEN RAISE(ABORT, 'the host of a pattern has an empty label')
	WHEN name NOT GLOB '[[]*]' AND name GLOB '*[^-A-Za-z0-9._' || char(128) || '-' || char(1114111) || ']*'
		THEN RAISE(ABORT, 'the host of a pattern is a name, an address, an IPv6 address in brackets, *.name or *')
	WHEN length(name) > 253
		THEN RAISE(ABORT, 'the host of a pattern has at most 253 characters')
	WHEN port NOT IN ('', ':*') AND (port GLOB ':*[^0-9]*' OR port NOT GLOB ':?*'
			OR CAST(substr(port, 2) AS INTEGER) NOT BETWEEN 1 AND 65535)
		THEN RAISE(ABORT, 'the port of a pattern is 1 to 65535 or *')
	WHEN NEW.kind = 'origin' AND path <> ''
		THEN RAISE(ABORT, 'an origin has no path')
	WHEN instr(substr(path, 1, length(path) - 1), '*') > 0
		THEN RAISE(ABORT, 'a * in the path stands at its end')
	END
	FROM (SELECT *, substr(authority, length(host) + 1) AS port,
		-- What a * in front leaves of the host.
		CASE WHEN host = '*' THEN '-' WHEN host GLOB '[*].?*' THEN substr(host, 3) ELSE host END AS name
	FROM (SELECT *, substr(rest, length(authority) + 1) AS path,
		CASE WHEN authority GLOB '[[]*]*' THEN substr(authority, 1, instr(authority, ']'))
		ELSE substr(authority, 1, instr(authority || ':', ':') - 1) END AS host
	FROM (SELECT *, substr(rest, 1, instr(rest || '/', '/') - 1) AS authority
	FROM (SELECT substr(NEW.pattern, 1, max(instr(NEW.pattern, '://') - 1, 0)) AS scheme,
		CASE WHEN instr(NEW.pattern, '://') > 0 THEN substr(NEW.pattern, instr(NEW.pattern, '://') + 3) ELSE '' END AS rest))));
	INSERT INTO address_check
		SELECT substr(rest, 2, instr(rest, ']') - 2)
		FROM (SELECT substr(NEW.pattern, instr(NEW.pattern, '://') + 3) AS rest)
		WHERE rest GLOB '[[]*';
END;

CREATE TRIGGER token_origins_insert BEFORE INSERT ON token_origins BEGIN
	INSERT INTO pattern_check VALUES ('origin', NEW.token_id, NEW.pattern);
END;
CREATE TRIGGER token_origins_update BEFORE UPDATE ON token_origins BEGIN
	INSERT INTO pattern_check VALUES ('origin', NEW.token_id, NEW.pattern);
END;
CREATE TRIGGER token_targets_insert BEFORE INSERT ON token_targets BEGIN
	INSERT INTO pattern_check VALUES ('target', NEW.token_id, NEW.pattern);
END;
CREATE TRIGGER token_targets_update BEFORE UPDATE ON token_targets BEGIN
	INSERT INTO pattern_check VALUES ('target', NEW.token_id, NEW.pattern);
END;
CREATE TRIGGER token_callbacks_insert BEFORE INSERT ON token_callbacks BEGIN
	INSERT INTO pattern_check VALUES ('callback', NEW.token_id, NEW.pattern);
END;
CREATE TRIGGER token_callbacks_update BEFORE UPDATE ON token_callbacks BEGIN
	INSERT INTO pattern_check VALUES ('callback', NEW.token_id, NEW.pattern);
END;
CREATE TRIGGER token_channels_insert BEFORE INSERT ON token_channels
WHEN NOT EXISTS (SELECT 1 FROM tokens WHERE id = NEW.token_id) BEGIN
	SELECT RAISE(ABORT, 'there is no token with this token_id');
END;
CREATE TRIGGER token_channels_update BEFORE UPDATE ON token_channels
WHEN NOT EXISTS (SELECT 1 FROM tokens WHERE id = NEW.token_id) BEGIN
	SELECT RAISE(ABORT, 'there is no token with this token_id');
END;

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

-- A revision never comes twice, even where a backup took the tables back: it
-- follows the clock.
CREATE VIEW policy_change AS SELECT NULL AS change;
CREATE TRIGGER policy_change_insert INSTEAD OF INSERT ON policy_change BEGIN
	UPDATE policy SET revision = max(revision + 1,
		CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER));
END;

CREATE TRIGGER tokens_inserted AFTER INSERT ON tokens BEGIN INSERT INTO policy_change VALUES (NULL); END;
CREATE TRIGGER tokens_updated AFTER UPDATE ON tokens BEGIN INSERT INTO policy_change VALUES (NULL); END;
CREATE TRIGGER tokens_deleted AFTER DELETE ON tokens BEGIN INSERT INTO policy_change VALUES (NULL); END;
CREATE TRIGGER token_origins_inserted AFTER INSERT ON token_origins BEGIN INSERT INTO policy_change VALUES (NULL); END;
CREATE TRIGGER token_origins_updated AFTER UPDATE ON token_origins BEGIN INSERT INTO policy_change VALUES (NULL); END;
CREATE TRIGGER token_origins_deleted AFTER DELETE ON token_origins BEGIN INSERT INTO policy_change VALUES (NULL); END;
CREATE TRIGGER token_targets_inserted AFTER INSERT ON token_targets BEGIN INSERT INTO policy_change VALUES (NULL); END;
CREATE TRIGGER token_targets_updated AFTER UPDATE ON token_targets BEGIN INSERT INTO policy_change VALUES (NULL); END;
CREATE TRIGGER token_targets_deleted AFTER DELETE ON token_targets BEGIN INSERT INTO policy_change VALUES (NULL); END;
CREATE TRIGGER token_channels_inserted AFTER INSERT ON token_channels BEGIN INSERT INTO policy_change VALUES (NULL); END;
CREATE TRIGGER token_channels_updated AFTER UPDATE ON token_channels BEGIN INSERT INTO policy_change VALUES (NULL); END;
CREATE TRIGGER token_channels_deleted AFTER DELETE ON token_channels BEGIN INSERT INTO policy_change VALUES (NULL); END;
CREATE TRIGGER token_callbacks_inserted AFTER INSERT ON token_callbacks BEGIN INSERT INTO policy_change VALUES (NULL); END;
CREATE TRIGGER token_callbacks_updated AFTER UPDATE ON token_callbacks BEGIN INSERT INTO policy_change VALUES (NULL); END;
CREATE TRIGGER token_callbacks_deleted AFTER DELETE ON token_callbacks BEGIN INSERT INTO policy_change VALUES (NULL); END;

-- ---------------------------------------------------------------------------
-- What was, and is

-- The wsbridge of each node that writes here, or wrote last.
CREATE TABLE bridges (
	-- What its session ids begin with.
	tag TEXT NOT NULL PRIMARY KEY,
	-- The option of that name.
	node TEXT NOT NULL,
	-- Of its process.
	pid INTEGER NOT NULL,
	-- The option bridge_socket.
	socket TEXT NOT NULL,
	-- Of the program.
	version TEXT NOT NULL,
	-- When it was.
	started_at TEXT NOT NULL,
	-- Its transactions; one that it does not know tells it of a restored backup.
	commits INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- What a token was used for on a day; written at least every second.
CREATE TABLE token_usage (
	-- Whose use it is.
	token_id INTEGER NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
	-- In UTC, such as 2030-12-31.
	day TEXT NOT NULL,
	-- Sessions begun.
	creates INTEGER NOT NULL DEFAULT 0,
	-- Those refused for their origin, their target or a limit.
	refused INTEGER NOT NULL DEFAULT 0,
	-- Messages from clients.
	messages_up INTEGER NOT NULL DEFAULT 0,
	-- Messages to clients.
	messages_down INTEGER NOT NULL DEFAULT 0,
	-- Bytes of the messages from clients.
	bytes_up INTEGER NOT NULL DEFAULT 0,
	-- Bytes of the messages to clients.
	bytes_down INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (token_id, day)
) STRICT, WITHOUT ROWID;

-- One row a session. UPDATE sessions SET close_requested = 1 WHERE ... closes
-- those of them that live. What is closed is kept for keep_sessions.
CREATE TABLE sessions (
	-- The name that logs show; not the secret socket id, which is nowhere.
	id TEXT NOT NULL PRIMARY KEY,
	-- Which service it belongs to.
	kind TEXT NOT NULL
		CONSTRAINT "kind is relay, application or channel"
		CHECK (kind IN ('relay', 'application', 'channel')),
	-- Of a token that may be gone by now.
	token_id INTEGER NOT NULL,
	-- The option node of the wsbridge that has it.
	node TEXT NOT NULL,
	-- The target, the channel, or the client of the application.
	subject TEXT NOT NULL,
	-- Of the page; '' when none was sent.
	origin TEXT NOT NULL,
	-- The client's address as the web server sees it.
	remote_addr TEXT NOT NULL,
	-- What the client says it is.
	agent TEXT NOT NULL,
	-- When its creation had passed the checks.
	opened_at TEXT NOT NULL,
	-- NULL while it lives.
	closed_at TEXT,
	-- As in a WebSocket's close frame (RFC 6455, 7.4); 0: it never opened.
	close_code INTEGER,
	-- Why, in words; of one that never opened the code of the answer.
	close_reason TEXT,
	-- Messages from the client. This and the next three are some seconds old
	-- while the session lives.
	messages_up INTEGER NOT NULL DEFAULT 0,
	-- Messages to the client.
	messages_down INTEGER NOT NULL DEFAULT 0,
	-- Bytes of the messages from the client.
	bytes_up INTEGER NOT NULL DEFAULT 0,
	-- Bytes of the messages to the client.
	bytes_down INTEGER NOT NULL DEFAULT 0,
	-- 1 asks wsbridge to close it.
	close_requested INTEGER NOT NULL DEFAULT 0
		CONSTRAINT "close_requested is 0 or 1" CHECK (close_requested IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_live ON sessions (token_id) WHERE closed_at IS NULL;
CREATE INDEX sessions_closed ON sessions (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX sessions_opened ON sessions (token_id, opened_at);
CREATE INDEX sessions_to_close ON sessions (node) WHERE close_requested = 1 AND closed_at IS NULL;

-- What was sent to all members of a channel, for those that come back: the last
-- history_events of each channel, for history_age. May be deleted at any time.
CREATE TABLE channel_events (
	-- In the order in which they were written; never used again.
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	-- Its name.
	channel TEXT NOT NULL,
	-- Counts the channel's events; one that is missing was lost or deleted.
	number INTEGER NOT NULL,
	-- As members got it.
	event_id TEXT NOT NULL,
	-- JSON, as it was sent.
	payload TEXT NOT NULL,
	-- When it was, with milliseconds: 2030-12-31 23:59:59.123.
	sent_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX channel_events_numbers ON channel_events (channel, number);
CREATE UNIQUE INDEX channel_events_ids ON channel_events (channel, event_id);
CREATE INDEX channel_events_sent ON channel_events (sent_at);

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

-- ---------------------------------------------------------------------------
-- For people

-- Who is connected, the oldest first.
CREATE VIEW live_sessions AS
SELECT s.id, s.kind, t.name AS token, s.subject, s.origin, s.remote_addr, s.agent, s.opened_at,
	CAST(strftime('%s', 'now') - strftime('%s', s.opened_at) AS INTEGER) AS age_s,
	s.messages_up, s.messages_down, s.bytes_up, s.bytes_down, s.node
FROM sessions AS s LEFT JOIN tokens AS t ON t.id = s.token_id
WHERE s.closed_at IS NULL
ORDER BY s.opened_at;

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

-- What each token was used for, the last day first.
CREATE VIEW usage_by_day AS
SELECT u.day, t.name AS token, u.creates, u.refused,
	u.messages_up, u.messages_down, u.bytes_up, u.bytes_down
FROM token_usage AS u JOIN tokens AS t ON t.id = u.token_id
ORDER BY u.day DESC, t.name;

-- The history of each channel, the one that was sent to last first.
CREATE VIEW channel_overview AS
SELECT channel, count(*) AS events, sum(length(CAST(payload AS BLOB))) AS bytes,
	min(sent_at) AS oldest, max(sent_at) AS newest
FROM channel_events
GROUP BY channel
ORDER BY max(id) DESC;

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
