-- The database of polysocket, version 1.
--
--   sqlite3 /var/lib/polysocket/polysocket.db < schema.sql
--
-- application_id says whose file this is ("Poly" in ASCII), user_version which
-- version of the schema it has; wsbridge looks at both before it starts.
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
PRAGMA application_id = 0x506f6c79;
PRAGMA user_version = 1;
COMMIT;
