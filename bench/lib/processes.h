/*
 * Processor time of the processes on the way, from proc(5): user and system
 * time with all threads. One list, as a program measures one thing.
 */
#ifndef BENCH_PROCESSES_H
#define BENCH_PROCESSES_H

#include <stdbool.h>

enum { MAX_PROCESSES = 32 };

/* A comma list of pids; it is changed. False if it is none. */
bool processes_parse(char *list);

/* Ends the interval that ran, and begins the next. */
void processes_mark(void);

/* The last interval that ended, per each of n, as a JSON object. */
void processes_print(double n);

#endif
