#include "config.h"

#include "ps_db_changes.h"

#include <stdio.h>
#include <string.h>

#include "ps_sql.h"

int
ps_db_last_change(struct ps_db *db, int64_t *number_r)
{
	*number_r = 0;
	return ps_sql_each(db, PS_SQL_LAST_CHANGE, ps_sql_number_row,
	    number_r);
}

struct change {
	int64_t number;
	enum ps_change_kind kind;
	char *name;
	size_t size;
};

static int
change_row(void *arg, sqlite3_stmt *stmt)
{
	struct change *change = arg;

	change->number = sqlite3_column_int64(stmt, 0);
	change->kind = strcmp(ps_sql_text(stmt, 1), "lane") == 0 ?
	    PS_CHANGE_LANE :
	    PS_CHANGE_AUTHORIZATION;
	snprintf(change->name, change->size, "%s", ps_sql_text(stmt, 2));
	return PS_OK;
}

int
ps_db_next_change(struct ps_db *db, int64_t *number,
    enum ps_change_kind *kind_r, char *name_r, size_t size)
{
	struct change change = { *number, PS_CHANGE_LANE, name_r, size };
	int ret;

	*name_r = '\0';
	sqlite3_bind_int64(db->statements[PS_SQL_NEXT_CHANGE], 1, *number);
	ret = ps_sql_each(db, PS_SQL_NEXT_CHANGE, change_row, &change);
	*number = change.number;
	*kind_r = change.kind;
	return ret;
}

int
ps_db_prune_changes(struct ps_db *db, int64_t number, int64_t before_s)
{
	sqlite3_stmt *stmt = db->statements[PS_SQL_PRUNE_CHANGES];

	sqlite3_bind_int64(stmt, 1, number);
	sqlite3_bind_int64(stmt, 2, before_s);
	return ps_sql_run(db, PS_SQL_PRUNE_CHANGES);
}

int
ps_db_note_lane(struct ps_db *db, const char *session)
{
	ps_sql_bind_text(db->statements[PS_SQL_NOTE_LANE], 1, session);
	return ps_sql_run(db, PS_SQL_NOTE_LANE);
}
