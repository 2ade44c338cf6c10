// A peer of `jobs`: BullMQ on Redis, producer and worker in one process as they come.
//
//     node jobs_bullmq_peer.mjs MODULES REDIS_SOCKET JOBS SAMPLES CONCURRENCY
//
// Completed jobs are kept (BullMQ's default), since a tracked job is one that can still be asked
// about. Prints one line of JSON.

import { createRequire } from "node:module";
import { performance } from "node:perf_hooks";

const [modules, path, jobs, samples, concurrency] = process.argv.slice(2);
const { Queue, Worker } = createRequire(`${modules}/`)("bullmq");
const COUNT = Number(jobs);
const AT_ONCE = 1000;
const WARM_UP = 20;
const connection = { path, maxRetriesPerRequest: null };

function worker(name, handler) {
  const made = new Worker(name, handler, { connection, concurrency: Number(concurrency) });
  made.on("error", (error) => {
    console.error(error);
    process.exit(1);
  });
  return made;
}

async function round(name, count) {
  const queue = new Queue(name, { connection });
  await queue.waitUntilReady();
  const begin = performance.now();
  for (let start = 0; start < count; start += AT_ONCE) {
    const size = Math.min(AT_ONCE, count - start);
    await queue.addBulk(Array.from({ length: size }, () => ({ name: "nothing", data: {} })));
  }
  const enqueued = performance.now();
  let done = 0;
  await new Promise((resolve) => {
    worker(name, async () => {}).on("completed", function () {
      done += 1;
      if (done === count) resolve(this);
    });
  }).then(async (made) => {
    globalThis.ended = performance.now();
    await made.close();
  });
  const kept = await queue.getCompletedCount();
  if (kept !== count) throw new Error(`${kept} of ${count} jobs are kept`);
  await queue.obliterate({ force: true });
  await queue.close();
  return {
    enqueued_per_second: (1000 * count) / (enqueued - begin),
    done_per_second: (1000 * count) / (globalThis.ended - enqueued),
  };
}

async function idle(count) {
  const queue = new Queue("idle", { connection });
  let started;
  const made = worker("idle", async () => started(performance.now()));
  await Promise.all([queue.waitUntilReady(), made.waitUntilReady()]);
  const taken = [];
  for (let sample = 0; sample < count + WARM_UP; sample += 1) {
    const start = new Promise((resolve) => (started = resolve));
    const begin = performance.now();
    await queue.add("nothing", {});
    const milliseconds = (await start) - begin;
    if (sample >= WARM_UP) taken.push(milliseconds);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await made.close();
  await queue.close();
  return taken;
}

await round("warm-up", AT_ONCE);
const figures = await round("jobs", COUNT);
figures.idle_starts_ms = await idle(Number(samples));
console.log(JSON.stringify(figures));
process.exit(0);
