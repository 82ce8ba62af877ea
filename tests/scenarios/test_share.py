"""A job for a share of the audience: the same users at every step, and told before it is sent."""
import math

P = 2**31 - 1


def in_share(user, ppm, seed):
    """As lib/source/share.h says it, written anew."""
    factors, x, mask = [], seed, 2**64 - 1
    for i in range(5):
        x = (x + 0x9E3779B97F4A7C15) & mask
        z = x
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
        factors.append(z % (P - 1) + 1 if i == 0 else z % P)
    a, b, c, d, e = factors
    y = user % P
    return (((a * y + b) * y + c) * y + d + e * (user // P)) % P < -(-ppm * P // 1000000)


def share(ppm, seed, users=2000):
    return {u for u in range(1, users + 1) if in_share(u, ppm, seed)}


def test_a_share_is_the_same_users_in_the_plan_the_pages_a_second_round_and_the_schedule(new_stack, judge):
    j = judge(new_stack())
    want = share(200000, 7)
    assert abs(len(want) - 400) < 5 * math.sqrt(2000 * 0.2 * 0.8)
    flags = ("monthly", "--share", "20%", "--share-seed", "7", "--batch-size", "7")
    assert j.call("submit", *flags, "--dry-run")["planned_users"] == len(want)
    job = j.submit(*flags)
    reader = j.stack.of("userstream")[0]
    reader.kill()  # its pages and batches are done again
    reader.start()
    done = j.wait_state(job, "COMPLETED")
    assert int(done["proof"]["users"]) == len(want)
    j.accounted(job, sorted(want))
    assert (done["spec"]["share_ppm"], done["spec"]["share_seed"]) == (200000, 7)
    assert "20 % of them, seed 7" in j.stack.foliopost("status", job).stdout

    sent = sorted(u for u, (state, _) in j.deliveries(job).items() if state == "sent")
    assert set(sent) <= want and len(sent) > 200
    failed = sent[:3]
    j.sql(f"UPDATE foliopost.batches b SET sent = b.sent - x.n, failed = failed + x.n FROM (SELECT batch_id, count(*) AS n "
          f"FROM foliopost.deliveries WHERE job_id = {job} AND user_id IN ({','.join(map(str, failed))}) GROUP BY 1) x WHERE b.id = x.batch_id")
    j.sql(f"UPDATE foliopost.deliveries SET state = 'failed', reason = '550 no' WHERE job_id = {job} AND user_id IN ({','.join(map(str, failed))})")
    assert j.call("retry", job, "--reason", "550 no")["users"] == 3
    assert int(j.wait_state(job, "COMPLETED")["proof"]["users"]) == len(want)
    child = j.call("resend", job, sent[5])["job"]
    assert child["spec"].get("share_ppm", 0) == 0
    assert int(j.wait_state(child["id"], "COMPLETED")["proof"]["users"]) == 1

    other = j.submit("monthly", "--share", "20%", "--share-seed", "8", "--request-id", "another")
    j.wait_state(other, "COMPLETED")
    assert set(j.deliveries(other)) == share(200000, 8) != want

    j.call("schedule", "create", "tenth", "--kind", "monthly", "--cron", "0 6 1 1 *", "--share", "10%", "--share-seed", "7")
    run = j.call("schedule", "run", "tenth")["job"]["id"]
    j.wait_state(run, "COMPLETED")
    assert set(j.deliveries(run)) == share(100000, 7) < want
    assert "10 % of them, seed 7" in j.stack.foliopost("schedule", "show", "tenth").stdout
    for wrong in ("5", "101%", "0%", "five%"):
        assert "--share" in j.stack.foliopost("submit", "monthly", "--share", wrong, check=False).stderr
    assert "not both" in j.stack.foliopost("submit", "monthly", "--share", "5%", "--user-ids", "1,2", check=False).stderr
