/* The Maildir: whole files in new/, one for each delivery, nothing in tmp/. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "services/mailer/transports.h"

static char folder[64];
static const struct transport_mail mail = {.sender = "a@here.example",
                                           .recipient = "b@there.example",
                                           .data = "Subject: x\r\n\r\nbody\r\n",
                                           .bytes = 20,
                                           .job_id = 7,
                                           .user_id = 1001};

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/maildir_test.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "chmod -R u+w %s; rm -rf %s", folder, folder);
    return system(command);
}

static struct transport *open_it(void)
{
    struct fp_err err;
    struct transport_settings s = {.maildir = folder};
    struct transport *t = transport_maildir.open(&s, &err);
    if (!t)
        fail_msg("%s", err.msg);
    return t;
}

static int files_in(const char *part)
{
    char path[96];
    int n = 0;
    snprintf(path, sizeof path, "%s/%s", folder, part);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void a_mail_becomes_a_whole_file_of_its_name(void **state)
{
    (void)state;
    struct transport *t = open_it();
    struct transport_reply reply;
    transport_maildir.send(t, &mail, &reply);
    assert_int_equal(reply.verdict, VERDICT_SENT);
    assert_non_null(strstr(reply.provider_id, ".7.1001."));
    char path[256], text[64] = "";
    snprintf(path, sizeof path, "%s/new/%s", folder, reply.provider_id);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fread(text, 1, sizeof text, f), mail.bytes);
    assert_memory_equal(text, mail.data, mail.bytes);
    fclose(f);
    assert_int_equal(files_in("tmp"), 0);
    transport_maildir.close(t);
}

static void a_second_delivery_is_a_second_file(void **state)
{
    (void)state;
    struct transport *a = open_it(), *b = open_it();
    struct transport_reply reply;
    transport_maildir.send(a, &mail, &reply);
    transport_maildir.send(a, &mail, &reply);
    transport_maildir.send(b, &mail, &reply);
    assert_int_equal(files_in("new"), 3);
    transport_maildir.close(a);
    transport_maildir.close(b);
}

static void a_folder_that_is_gone_is_the_providers_fault(void **state)
{
    (void)state;
    struct transport *t = open_it();
    struct transport_reply reply;
    char path[96];
    snprintf(path, sizeof path, "%s/tmp", folder);
    assert_int_equal(rmdir(path), 0);
    transport_maildir.send(t, &mail, &reply);
    assert_int_equal(reply.verdict, VERDICT_PROVIDER_FAULT);
    assert_string_equal(reply.provider_id, "");
    assert_non_null(strstr(reply.reason, "maildir"));
    transport_maildir.close(t);
}

static void half_a_delivery_leaves_nothing_behind(void **state)
{
    (void)state;
    struct transport *t = open_it();
    struct transport_reply reply;
    char path[96];
    snprintf(path, sizeof path, "%s/new", folder);
    assert_int_equal(rmdir(path), 0);
    transport_maildir.send(t, &mail, &reply);
    assert_int_equal(reply.verdict, VERDICT_PROVIDER_FAULT);
    assert_int_equal(files_in("tmp"), 0);
    transport_maildir.close(t);
}

static void a_wrong_folder_is_named(void **state)
{
    (void)state;
    struct fp_err err;
    struct transport_settings s = {.maildir = ""};
    assert_int_equal(transport_maildir.check(&s, &err), -1);
    s.maildir = "/dev/null";
    assert_int_equal(transport_maildir.check(&s, &err), -1);
    assert_non_null(strstr(err.msg, "/dev/null"));
    assert_null(transport_maildir.open(&s, &err));
    transport_maildir.close(NULL);
}

static void the_null_transport_takes_everything(void **state)
{
    (void)state;
    struct fp_err err;
    struct transport_settings s = {0};
    struct transport_reply reply;
    assert_int_equal(transport_null.check(&s, &err), 0);
    struct transport *t = transport_null.open(&s, &err);
    transport_null.send(t, &mail, &reply);
    assert_int_equal(reply.verdict, VERDICT_SENT);
    assert_string_equal(reply.provider_id, "null.7.1001");
    transport_null.close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_mail_becomes_a_whole_file_of_its_name, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_second_delivery_is_a_second_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_folder_that_is_gone_is_the_providers_fault, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(half_a_delivery_leaves_nothing_behind, make_folder, remove_folder),
        cmocka_unit_test(a_wrong_folder_is_named),
        cmocka_unit_test(the_null_transport_takes_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
