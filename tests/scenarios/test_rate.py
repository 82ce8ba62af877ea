"""One rate of mails a second over all mailers (P8)."""
import pytest


def moments(judge, job):
    """When the sink accepted each mail of the job, in seconds, in order."""
    lines = judge.stack.record.read_text().splitlines()
    return sorted(int(f[0]) / 1e6 for f in (line.split("\t") for line in lines) if f[1].startswith(f"<{job}."))


def most_in_a_second(times):
    most, first = 0, 0
    for last, t in enumerate(times):
        while times[first] <= t - 1:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("mailers, rate", [(1, 50), (2, 250)])
def test_the_rate_is_used_and_never_passed_by_more_than_a_slice(new_stack, judge, mailers, rate):
    j = judge(new_stack(mailers=mailers, mailer={"mail_rate": rate}))
    ids = sorted(j.audience())[:rate * 7]
    job = j.submit("monthly", "--user-ids", ",".join(map(str, ids)))
    j.wait_state(job, "COMPLETED", 60)
    j.accounted(job, ids)
    times = moments(j, job)
    slice_mails = max(1, rate // 10) # 100 ms worth
    assert most_in_a_second(times) <= rate + slice_mails
    middle = [t for t in times if times[0] + 0.5 <= t <= times[-1] - 0.5] # without start and end
    used = (len(middle) - 1) / (middle[-1] - middle[0])
    assert used >= 0.98 * rate, f"{used:.1f} a second of {rate}"
