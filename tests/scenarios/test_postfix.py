"""Mails through a real Postfix into a Maildir, and its bounces back to inbound. script/postfix-mails is the long form."""
import time

import pytest
from postfixmails import BOUNCES, Postfix, judge_mails

pytestmark = pytest.mark.skipif(bool(Postfix.missing()), reason=Postfix.missing() or "-")


@pytest.mark.slow
def test_no_mail_is_lost_or_doubled_and_each_says_what_the_statistics_say(new_stack, judge, tmp_path):
    stack = new_stack(start=False)
    postfix = Postfix(stack.folder / "postfix")
    postfix.start(unknown="^user2[0-9][0-9]@")
    try:
        stack.options["mailer"] = {"smtp_url": f"smtp://127.0.0.1:{postfix.port}", "bounce_domain": BOUNCES,
                                   "unsubscribe_url": "https://leave.example.com", "token_key_file": stack.token_keys(),
                                   "connections": 8}
        stack.start_services()
        j = judge(stack)
        ids = list(range(1, 331))
        job = j.submit("monthly", "--user-ids", ",".join(map(str, ids)))
        j.wait_state(job, "COMPLETED", 90)
        postfix.wait_empty()
        bounced = {int(r[0]) for r in j.sql(f"SELECT user_id FROM foliopost.deliveries WHERE job_id = {job} AND state = 'sent'"
                                            " AND user_id BETWEEN 200 AND 299")}
        mails, compared = judge_mails(stack, j.sql, job, postfix.box, bounced, sample=5)
        assert mails > 180 and compared > 35 and len(bounced) > 80
        # what Postfix could not deliver comes back to the address of that mail alone
        stack.start_inbound(maildir=postfix.bounces)
        end = time.monotonic() + 60
        while j.number("SELECT count(*) FROM foliopost.delivery_events WHERE event = 'bounced'") < len(bounced):
            assert time.monotonic() < end, j.sql("SELECT event, count(*) FROM foliopost.delivery_events GROUP BY 1")
            time.sleep(0.2)
        events = {int(u) for u, in j.sql(f"SELECT user_id FROM foliopost.delivery_events WHERE job_id = {job} AND event = 'bounced'")}
        assert events == bounced
        assert j.number("SELECT count(*) FROM foliopost.suppressions WHERE reason = 'hard_bounce'") == len(bounced)
        if stack.of("inbound"):
            stack.of("inbound")[0].stop()
    finally:
        postfix.stop()
