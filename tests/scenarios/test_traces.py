"""Spans of a job, as a collector gets them."""
import collections
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@pytest.fixture
def collector():
    """An OTLP/HTTP collector: the spans in the order they came, each with its service's name."""
    spans = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for r in body["resourceSpans"]:
                service = {a["key"]: a["value"] for a in r["resource"]["attributes"]}["service.name"]["stringValue"]
                spans.extend({**s, "service": service} for scope in r["scopeSpans"] for s in scope["spans"])
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.spans = spans
    yield server
    server.shutdown()
    server.server_close()


def numbers(span):
    return {a["key"]: a["value"].get("intValue") for a in span["attributes"]}


def test_a_jobs_spans_hang_together_and_name_nobody(new_stack, judge, collector):
    endpoint = f"http://127.0.0.1:{collector.server_address[1]}"
    stack = new_stack(env={"FOLIOPOST_TRACE_ENDPOINT": endpoint}, userstream={"trace_every": 4})
    j = judge(stack)
    job = j.submit("monthly")
    j.wait_state(job, "COMPLETED")
    j.accounted(job)
    assert not stack.stop_services() # each sends what it has before it ends
    spans = collector.spans
    by_name = collections.defaultdict(list)
    for s in spans:
        by_name[s["name"]].append(s)
    trace = j.sql(f"SELECT split_part(traceparent, '-', 2) FROM foliopost.jobs WHERE id = {job}")[0][0]
    assert {s["traceId"] for s in spans if numbers(s).get("foliopost.job_id") == str(job)} == {trace}
    assert by_name["SubmitJob"][0]["traceId"] == trace
    batches = {numbers(s)["foliopost.batch_id"]: s for s in by_name["userstream batch"]}
    wanted = j.number(f"SELECT count(*) FROM foliopost.batches WHERE job_id = {job} AND id % 4 = 0")
    assert len(batches) == wanted > 0
    for above, below in (("userstream batch", "stats batch"), ("stats batch", "mailer batch")):
        parents = {s["spanId"]: numbers(s)["foliopost.batch_id"] for s in by_name[above]}
        assert {numbers(s)["foliopost.batch_id"] for s in by_name[below]} == set(batches)
        assert all(parents[s["parentSpanId"]] == numbers(s)["foliopost.batch_id"] for s in by_name[below])
    assert {s["parentSpanId"] for s in by_name["userstream batch"]} == {by_name["SubmitJob"][0]["spanId"]}
    whole, = by_name["job"]
    assert int(numbers(whole)["foliopost.users"]) == len(j.audience())
    assert all(int(s["startTimeUnixNano"]) <= int(s["endTimeUnixNano"]) for s in spans)
    assert all("intValue" in a["value"] or a["key"] == "error.type" for s in spans for a in s["attributes"])
    assert "@" not in json.dumps(spans)


@pytest.mark.slow
def test_a_collector_that_is_away_changes_nothing(new_stack, judge):
    stack = new_stack(env={"FOLIOPOST_TRACE_ENDPOINT": "http://127.0.0.1:1"}, userstream={"trace_every": 1})
    j = judge(stack)
    job = j.submit("weekly")
    j.wait_state(job, "COMPLETED")
    j.accounted(job)


@pytest.mark.slow
def test_the_clients_trace_goes_through_all_services_logs(new_stack, judge):
    """Without an endpoint too: the lines carry the client's trace."""
    options = {s: {"log_level": "debug"} for s in ("scheduler", "userstream", "stats", "mailer")}
    stack = new_stack(**options)
    j = judge(stack)
    job = j.submit("weekly")
    j.wait_state(job, "COMPLETED")
    trace = j.sql(f"SELECT split_part(traceparent, '-', 2) FROM foliopost.jobs WHERE id = {job}")[0][0]
    for service in ("scheduler", "stats", "mailer"):
        lines = [x for x in stack.of(service)[0].log.read_text().splitlines() if f" job={job}" in x]
        assert lines and all(f"trace={trace}" in x for x in lines), service
