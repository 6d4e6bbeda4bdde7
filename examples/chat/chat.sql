-- The chat's database, made when it is opened first.

-- Who has signed in. A client is what polysocket calls them.
CREATE TABLE IF NOT EXISTS people (
	client TEXT PRIMARY KEY,
	name TEXT NOT NULL UNIQUE COLLATE NOCASE,
	socket_id TEXT NOT NULL,
	since INTEGER NOT NULL
);

-- Their connections: a person may open the page's URL twice, or be about to
-- change from one network to another.
CREATE TABLE IF NOT EXISTS sessions (
	session TEXT PRIMARY KEY,
	client TEXT NOT NULL
);

-- What was said, and who came and went. webhook_id is the callback's, which
-- may come again.
CREATE TABLE IF NOT EXISTS lines (
	number INTEGER PRIMARY KEY,
	webhook_id TEXT NOT NULL UNIQUE,
	kind TEXT NOT NULL,
	name TEXT NOT NULL,
	text TEXT NOT NULL
);
