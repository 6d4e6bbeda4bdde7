-- The database of polysocket, version 2.
--
--   sqlite3 /var/lib/polysocket/polysocket.db < schema.sql
--   wsbridge --init-db
--
-- do the same. The tables of the first half belong to the administrator, who
-- changes them with sqlite3 at any time; each change takes effect within a
-- second. Those of the second half are written by wsbridge and are for reading,
-- but for sessions.close_requested.
--
-- All times are text in UTC, such as 2030-12-31 23:59:59.
.bail on
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
PRAGMA application_id = 0x506f6c79; -- "Poly": whose file this is
PRAGMA user_version = 2;            -- the version of the schema

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
END;
CREATE TRIGGER tokens_delete AFTER DELETE ON tokens BEGIN
	DELETE FROM token_origins WHERE token_id = OLD.id;
	DELETE FROM token_targets WHERE token_id = OLD.id;
	DELETE FROM token_channels WHERE token_id = OLD.id;
	DELETE FROM token_callbacks WHERE token_id = OLD.id;
	DELETE FROM token_usage WHERE token_id = OLD.id;
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
	t.note
FROM tokens AS t LEFT JOIN token_usage AS u ON u.token_id = t.id AND u.day = date('now')
ORDER BY t.name;

-- What each token was used for, the last day first.
CREATE VIEW usage_by_day AS
SELECT u.day, t.name AS token, u.creates, u.refused,
	u.messages_up, u.messages_down, u.bytes_up, u.bytes_down
FROM token_usage AS u JOIN tokens AS t ON t.id = u.token_id
ORDER BY u.day DESC, t.name;
COMMIT;
