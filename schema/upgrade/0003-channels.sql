-- From version 2 to version 3: the history of channels.
.bail on
BEGIN IMMEDIATE;
PRAGMA user_version = 3;

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

-- The history of each channel, the one that was sent to last first.
CREATE VIEW channel_overview AS
SELECT channel, count(*) AS events, sum(length(CAST(payload AS BLOB))) AS bytes,
	min(sent_at) AS oldest, max(sent_at) AS newest
FROM channel_events
GROUP BY channel
ORDER BY max(id) DESC;
COMMIT;
