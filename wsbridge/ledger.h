/*
 * The bridge's books: the store, and who hears what it tells. What the database
 * remembers goes to the quotas, what the administrator decides to enforce.h,
 * what is to be written comes from record.h.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "bridge.h"

/*
 * Opens the store: from here on the policy is in force, and the use of day and
 * minute is known. False having logged why not.
 */
PS_MUST_CHECK bool ledger_open(struct bridge *bridge);
/* Writes what is not written yet and closes the store. */
void ledger_close(struct bridge *bridge);

#endif
