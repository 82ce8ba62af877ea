/* vectors DIR...: runs every case in the folders, and counts. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/vectors/vectors.h"

static int passed, failed, not_ours;

static void run_file(const char *path)
{
    char text[300];
    struct vcase *c = case_open(path, text);

    if (!c) {
        printf("%s\n", text);
        failed++;
        return;
    }
    case_run(c);
    printf("%s %s\n%s", c->id,
           c->differ     ? "DIFFERS"
           : c->compared ? "ok"
                         : "is not ours",
           c->text ? c->text : "");
    c->differ ? failed++ : c->compared ? passed++ : not_ours++;
    case_close(c);
}

static int is_case(const struct dirent *e)
{
    size_t n = strlen(e->d_name);

    return n > 5 && strcmp(e->d_name + n - 5, ".json") == 0;
}

static bool run_folder(const char *folder)
{
    struct dirent **names;
    int n = scandir(folder, &names, is_case, alphasort);

    if (n <= 0) {
        fprintf(stderr, "vectors: %s: %s\n", folder,
                n < 0 ? "cannot be read; name a folder of .json files" : "holds no .json file");
        return false;
    }
    for (int i = 0; i < n; i++) {
        char path[4096];

        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        run_file(path);
        free(names[i]);
    }
    free(names);
    return true;
}

int main(int argc, char **argv)
{
    bool read = argc > 1;

    if (argc < 2)
        fprintf(stderr, "usage: vectors DIR...\n");
    for (int i = 1; i < argc; i++)
        read &= run_folder(argv[i]);
    if (not_ours)
        printf("%d not ours: nothing of them is a figure here\n", not_ours);
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !read;
}
