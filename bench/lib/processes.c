#include "config.h"

#include "processes.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "link.h"

struct process {
	int pid;
	uint64_t began_us;
	uint64_t used_us;
};

static struct process processes[MAX_PROCESSES];
static int n_processes;

static uint64_t
processor_time_us(int pid)
{
	unsigned long user, system;
	char path[64], line[1024];
	const char *name_end;
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (file == NULL)
		die("process %d is gone", pid);
	len = fread(line, 1, sizeof(line) - 1, file);
	fclose(file);
	line[len] = '\0';
	name_end = strrchr(line, ')');
	if (name_end == NULL ||
	    sscanf(name_end + 1,
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u "
		   "%*u %lu %lu",
		   &user, &system) != 2)
		die("%s is not as expected", path);
	return (user + system) * (1000000 / sysconf(_SC_CLK_TCK));
}

bool
processes_parse(char *list)
{
	char *pid, *end;

	for (pid = strtok(list, ","); pid; pid = strtok(NULL, ",")) {
		long number = strtol(pid, &end, 10);

		if (*end != '\0' || number < 1 || number > 1 << 30 ||
		    n_processes == MAX_PROCESSES)
			return false;
		processes[n_processes++].pid = number;
	}
	return true;
}

void
processes_mark(void)
{
	int i;

	for (i = 0; i < n_processes; i++) {
		uint64_t now_us = processor_time_us(processes[i].pid);

		processes[i].used_us = now_us - processes[i].began_us;
		processes[i].began_us = now_us;
	}
}

void
processes_print(double n)
{
	int i;

	putchar('{');
	for (i = 0; i < n_processes; i++)
		printf("%s\"%d\":%.3f", i > 0 ? "," : "", processes[i].pid,
		       n > 0 ? processes[i].used_us / n : 0);
	putchar('}');
}
