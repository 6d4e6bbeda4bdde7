/*
 * Runs a fuzz target on its corpus, tests/fuzz/corpus/NAME for fuzz_NAME, and
 * on some variants of each file, the same in every run. Speaks TAP. With
 * arguments: on these files alone, such as one that libFuzzer has found.
 */
#include "config.h"

#include <dirent.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_MAX 65536
#define VARIANTS 500

static uint64_t seed = 88172645463325252;

static size_t
below(size_t bound)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed % bound);
}

/* In memory of its own size, so that a sanitizer sees what is read beyond. */
static void
run(const unsigned char *data, size_t len)
{
	unsigned char *copy = malloc(len == 0 ? 1 : len);

	if (copy == NULL)
		abort();
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

/* Changes, drops or doubles a few bytes; returns the new length. */
static size_t
change(unsigned char *data, size_t len)
{
	static const unsigned char interesting[] = { 0, 1, 0x7f, 0x80, 0xff,
		'"', '\\', '%', '&', '=', ':', '/', '@', '[', '*', '{' };
	size_t n = 1 + below(4), at, part;

	while (n-- > 0 && len > 0) {
		at = below(len);
		switch (below(5)) {
		case 0:
			data[at] ^= (unsigned char)(1u << below(8));
			break;
		case 1:
			data[at] = interesting[below(sizeof(interesting))];
			break;
		case 2:
			data[at] = (unsigned char)below(256);
			break;
		case 3:
			part = 1 + below(len - at);
			memmove(data + at, data + at + part, len - at - part);
			len -= part;
			break;
		default:
			part = 1 + below(len - at);
			if (len + part > INPUT_MAX)
				break;
			memmove(data + at + part, data + at, len - at);
			len += part;
		}
	}
	return len;
}

static void
replay(const char *path)
{
	static unsigned char data[INPUT_MAX], variant[INPUT_MAX];
	FILE *in = fopen(path, "rb");
	size_t len, i;

	if (in == NULL) {
		perror(path);
		exit(1);
	}
	len = fread(data, 1, sizeof(data), in);
	fclose(in);
	run(data, len);
	for (i = 0; i < VARIANTS; i++) {
		memcpy(variant, data, len);
		run(variant, change(variant, len));
	}
	for (i = 0; i < len && i < VARIANTS; i++)
		run(data, i);
}

static int
is_seed(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int
replay_corpus(const char *program)
{
	const char *srcdir = getenv("srcdir"), *name = strstr(program, "fuzz_");
	char folder[1024], path[2048];
	struct dirent **list;
	int n, i;

	if (name == NULL)
		return 1;
	while (strstr(name + 1, "fuzz_") != NULL)
		name = strstr(name + 1, "fuzz_");
	snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s",
	    srcdir == NULL ? "." : srcdir, name + strlen("fuzz_"));
	if ((n = scandir(folder, &list, is_seed, alphasort)) <= 0) {
		perror(folder);
		return 1;
	}
	printf("1..%d\n", n);
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, list[i]->d_name);
		replay(path);
		printf("ok %d - %s\n", i + 1, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return 0;
}

int
main(int argc, char **argv)
{
	int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2)
		return replay_corpus(argv[0]);
	for (i = 1; i < argc; i++)
		replay(argv[i]);
	return 0;
}
