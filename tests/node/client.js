// The calls of tests/scenarios/test_grpc_js.py, by @grpc/grpc-js: one function of TASKS for each of its
// tests, named by the first argument. Prints what the test then looks at, as JSON.
//   node client.js TASK ADDRESS PROTO_FOLDER [FOLDER of certificates]
"use strict";
const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const { promisify } = require("node:util");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [task, address, protos, folder] = process.argv.slice(2);
const TOKEN = "secret-1";

function load(...files) {
  const options = { includeDirs: [protos], keepCase: true, longs: String, enums: String, defaults: true };
  return grpc.loadPackageDefinition(loader.loadSync(files, options));
}

const packages = load("foliopost/v1/job_service.proto", "grpc/health/v1/health.proto", "grpc/reflection/v1/reflection.proto",
  "grpc/reflection/v1alpha/reflection.proto");

// A client's methods as promises, with a deadline; streams are left as they are.
function clientOf(Service, credentials = grpc.credentials.createInsecure(), token = TOKEN) {
  const client = new Service(address, credentials);
  const metadata = new grpc.Metadata();
  if (token) metadata.set("authorization", `Bearer ${token}`);
  return {
    call: (method, request, ms = 20000) => promisify(client[method].bind(client))(request, metadata, { deadline: Date.now() + ms }),
    stream: (method, request, ms = 120000) => client[method](request, metadata, { deadline: Date.now() + ms }),
    close: () => client.close(),
  };
}

const jobsOf = (...args) => clientOf(packages.foliopost.v1.JobService, ...args);
const healthOf = (...args) => clientOf(packages.grpc.health.v1.Health, ...args);

async function refused(code, promise) {
  const error = await promise.then(() => null, (e) => e);
  assert.ok(error !== null, `answered, and not refused as ${grpc.status[code]}`);
  assert.equal(grpc.status[error.code], grpc.status[code], error.details);
  return error;
}

// All that a stream says; rejects with its error.
function all(stream) {
  const said = [];
  return new Promise((resolve, reject) => stream.on("data", (m) => said.push(m)).on("error", reject).on("end", () => resolve(said)));
}

const monthly = (request_id) => ({ request_id, spec: { kind: "JOB_KIND_MONTHLY" } });

const TASKS = {
  // Submit twice, watch to the end, page through the deliveries.
  async whole() {
    const jobs = jobsOf();
    const first = await jobs.call("SubmitJob", monthly("node-1"));
    const again = await jobs.call("SubmitJob", monthly("node-1"));
    assert.ok(again.existing && !first.existing && again.job.id === first.job.id);
    const seen = await all(jobs.stream("WatchJob", { job_id: first.job.id, details: true }));
    const last = seen.at(-1);
    assert.ok(seen.length >= 2);
    assert.equal(last.state, "JOB_STATE_COMPLETED");
    const users = [];
    for (let after = "0"; ;) {
      const page = await jobs.call("ListDeliveries", { job_id: first.job.id, page_size: 300, after_user_id: after });
      users.push(...page.deliveries.map((d) => Number(d.user_id)));
      after = page.next_after_user_id;
      if (after === "0") break;
    }
    const report = await jobs.call("GetReport", { job_id: first.job.id });
    assert.equal(Number(report.users_processed), users.length);
    jobs.close();
    return { job: Number(first.job.id), users, sent: Number(last.counts.sent) };
  },

  // Codes with details, deadlines, cancelling of a call and of a job, wrong tokens.
  async errors() {
    const jobs = jobsOf();
    const { job } = await jobs.call("SubmitJob", monthly("node-2"));
    const wrong = await refused(grpc.status.INVALID_ARGUMENT, jobs.call("GetJob", { job_id: -1 }));
    assert.match(wrong.details, /job_id/);
    assert.ok(wrong.metadata.get("grpc-status-details-bin")[0].includes("google.rpc.BadRequest"));
    await refused(grpc.status.NOT_FOUND, jobs.call("GetJob", { job_id: 99 }));
    await refused(grpc.status.RESOURCE_EXHAUSTED, jobs.call("CancelJob", { job_id: job.id, reason: "x".repeat(1 << 20) }));
    const began = Date.now();
    await refused(grpc.status.DEADLINE_EXCEEDED, all(jobs.stream("WatchJob", { job_id: job.id }, 1500)));
    const took = Date.now() - began;
    assert.ok(took > 1000 && took < 10000, `the deadline of 1.5 s came after ${took} ms`);
    const watching = jobs.stream("WatchJob", { job_id: job.id });
    await new Promise((resolve) => watching.once("data", resolve));
    const ended = refused(grpc.status.CANCELLED, all(watching));
    watching.cancel();
    await ended;
    for (const token of [null, "secret-2"]) {
      const stranger = jobsOf(undefined, token);
      await refused(grpc.status.UNAUTHENTICATED, stranger.call("GetJob", { job_id: job.id }));
      await refused(grpc.status.UNAUTHENTICATED, all(stranger.stream("WatchJob", { job_id: job.id })));
      stranger.close();
    }
    assert.equal((await jobs.call("CancelJob", { job_id: job.id, reason: "enough" })).state, "JOB_STATE_CANCELLED");
    assert.equal((await all(jobs.stream("WatchJob", { job_id: job.id }))).at(-1).state, "JOB_STATE_CANCELLED");
    jobs.close();
    return { job: Number(job.id) };
  },

  async health_and_reflection() {
    const health = healthOf(undefined, null);
    for (const service of ["", "foliopost.v1.JobService"]) assert.equal((await health.call("Check", { service })).status, "SERVING");
    await refused(grpc.status.NOT_FOUND, health.call("Check", { service: "nothing.of.ours" }));
    health.close();
    const services = {};
    for (const version of ["v1", "v1alpha"]) {
      const reflection = clientOf(packages.grpc.reflection[version].ServerReflection, undefined, null);
      const ask = reflection.stream("ServerReflectionInfo");
      ask.write({ list_services: "" });
      ask.write({ file_containing_symbol: "foliopost.v1.JobService.GetJob" });
      ask.write({ file_containing_symbol: "foliopost.v1.Nothing" });
      ask.end();
      const [names, file, nothing] = await all(ask);
      services[version] = names.list_services_response.service.map((s) => s.name);
      assert.ok(file.file_descriptor_response.file_descriptor_proto[0].includes("foliopost/v1/job_service.proto"));
      assert.equal(nothing.error_response.error_code, grpc.status.NOT_FOUND);
      reflection.close();
    }
    return services;
  },

  // Says {"watching": true} once it watches, for the test to begin the drain then.
  async drain() {
    const health = healthOf();
    const watching = health.stream("Watch", { service: "" });
    const said = [];
    const end = new Promise((resolve) => watching.on("error", resolve).on("end", () => resolve(null)));
    watching.on("data", (m) => {
      said.push(m.status);
      if (said.length === 1) console.log(JSON.stringify({ watching: true }));
    });
    const error = await end;
    assert.equal(error && grpc.status[error.code], "UNAVAILABLE");
    health.close();
    return { said };
  },

  // With our certificate and token; with a stranger's, with none, and in plain text.
  async tls() {
    const read = (name) => fs.readFileSync(path.join(folder, name));
    const ca = read("ca.pem");
    const ours = () => grpc.credentials.createSsl(ca, read("client.key"), read("client.pem"));
    const good = jobsOf(ours());
    assert.deepEqual((await good.call("ListJobs", {})).jobs, []);
    const { job } = await good.call("SubmitJob", monthly("node-tls"));
    assert.equal((await all(good.stream("WatchJob", { job_id: job.id }))).at(-1).state, "JOB_STATE_COMPLETED");
    good.close();
    for (const token of [null, "secret-2"]) {
      const nobody = jobsOf(ours(), token);
      await refused(grpc.status.UNAUTHENTICATED, nobody.call("ListJobs", {}));
      nobody.close();
    }
    const wrong = [grpc.credentials.createSsl(ca, read("stranger.key"), read("stranger.pem")), grpc.credentials.createSsl(ca),
      grpc.credentials.createInsecure()];
    for (const credentials of wrong) {
      const client = jobsOf(credentials);
      const error = await client.call("ListJobs", {}, 3000).then(() => null, (e) => e);
      assert.ok(error && ["UNAVAILABLE", "DEADLINE_EXCEEDED"].includes(grpc.status[error.code]), String(error));
      client.close();
    }
    return { job: Number(job.id) };
  },
};

TASKS[task]().then((result) => console.log(JSON.stringify(result)), (error) => {
  console.error(error);
  process.exitCode = 1;
  setTimeout(() => process.exit(), 100).unref(); // what is open still must not keep it
});
