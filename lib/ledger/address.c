/*
 * The pseudonym of an address.
 *
 * Only letters are folded: what some providers ignore in a local part (dots,
 * "+tag") are other mailboxes elsewhere, and whoever registers with a tag
 * means that address. Domains and, in practice, local parts do not tell upper
 * from lower case. The salt is the ledger's own, so that hashes of two
 * installations cannot be compared and tables made in advance are of no use.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/hmac.h"
#include "lib/base/text.h"
#include "lib/ledger/ledger_internal.h"
#include "lib/ledger/suppressions.h"

#define ADDRESS_BYTES 512 /* SMTP allows 254 */

static int read_salt(struct fp_ledger *l, struct fp_err *err)
{
    struct fp_rows *rows;
    if (l->salt[0] != '\0')
        return 0;
    if (ledger_step(l, "address_salt", "SELECT encode(salt, 'hex') FROM foliopost.address_salt", NULL, &rows,
                    err) != 0)
        return -1;
    bool there = pg_rows_count(rows) > 0;
    if (there)
        snprintf(l->salt, sizeof l->salt, "%s", pg_text(rows, 0, 0));
    pg_rows_free(rows);
    if (there && l->salt[0] != '\0')
        return 0;
    return err_set(err, FP_DATA_LOSS, "foliopost.address_salt is empty: restore its row from a backup");
}

int ledger_address_hash(struct fp_ledger *l, const char *address, char out[LEDGER_HASH_BYTES],
                        struct fp_err *err)
{
    unsigned char folded[ADDRESS_BYTES], mac[HMAC_BYTES];
    size_t n = strlen(address);
    out[0] = '\0';
    if (n == 0 || n > sizeof folded)
        return 0;
    if (read_salt(l, err) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        folded[i] =
            (unsigned char)(address[i] >= 'A' && address[i] <= 'Z' ? address[i] - 'A' + 'a' : address[i]);
    if (!hmac_sha256(l->salt, strlen(l->salt), folded, n, mac))
        return err_set(err, FP_INTERNAL, "HMAC-SHA256 failed");
    text_uuid(mac, out); /* its first half */
    return 0;
}
