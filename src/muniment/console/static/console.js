// Sends the forms of the pages to the API and shows what it answers.
"use strict";

const CSRF = "muniment-csrf-token";

async function send(method, path, body) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const token = sessionStorage.getItem(CSRF);
  if (token !== null && method !== "GET") headers["X-CSRF-Token"] = token;
  const response = await fetch(path, {
    method,
    headers,
    credentials: "same-origin",
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (answer && answer.csrf_token) sessionStorage.setItem(CSRF, answer.csrf_token);
  return { ok: response.ok, status: response.status, answer };
}

function explain(outcome) {
  const problem = outcome.answer;
  if (!problem) return "The server did not answer as expected. Try again in a moment.";
  const faults = (problem.errors || []).map((fault) => fault.detail).filter(Boolean);
  return [problem.detail, ...faults].join(" ");
}

function show(element, text) {
  element.textContent = text;
  element.hidden = text === "";
}

async function submitted(event) {
  event.preventDefault();
  const form = event.target;
  const problem = form.querySelector("[data-problem]");
  const done = form.querySelector("[data-done]");
  show(problem, "");
  show(done, "");
  const [method, path] = form.dataset.send.split(" ");
  const fields = [...new FormData(form)].filter(([, value]) => value !== "");
  const body = Object.fromEntries(fields);
  // A link carries its token in the fragment, which browsers send to nobody.
  if ("token" in form.dataset) {
    body.token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
  }
  const buttons = form.querySelectorAll("button");
  buttons.forEach((button) => (button.disabled = true));
  try {
    const empty = form.querySelector("input, select") === null;
    const outcome = await send(method, path, empty ? undefined : body);
    if (!outcome.ok) {
      show(problem, explain(outcome));
      problem.focus();
    } else if (form.dataset.then) {
      location.assign(form.dataset.then);
    } else {
      show(done, form.dataset.say || "Saved.");
      form.reset();
    }
  } catch {
    show(problem, "The server cannot be reached. Try again in a moment.");
    problem.focus();
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
}

async function fillAccount(account) {
  const session = await send("GET", "/v1/session");
  if (!session.ok) {
    location.replace("/sign-in");
    return;
  }
  const { user, organization, organizations } = session.answer;
  account.querySelector("[data-user-name]").textContent = user.name;
  account.querySelector("[data-user-email]").textContent = user.email;
  account.querySelector("[data-username]").value = user.email;
  account.querySelector("[data-organization]").textContent =
    organization === null
      ? "You work in no organization at the moment."
      : `You work in ${organization.name} as ${organization.role}.`;
  const choice = account.querySelector("[data-organizations]");
  for (const one of organizations) {
    const here = organization !== null && one.id === organization.id;
    choice.append(new Option(`${one.name} (${one.role})`, one.id, here, here));
  }
  choice.form.hidden = organizations.length < (organization === null ? 1 : 2);
  await fillInvitations(account.querySelector("[data-invitations]"));
  const sessions = await send("GET", "/v1/sessions?limit=100");
  const rows = account.querySelector("[data-sessions]");
  for (const one of sessions.ok ? sessions.answer.items : []) rows.append(sessionRow(one));
  account.hidden = false;
}

async function fillInvitations(section) {
  const open = await send("GET", "/v1/user/invitations");
  const items = open.ok ? open.answer.items : [];
  section.hidden = items.length === 0;
  for (const one of items) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    item.textContent = `${one.organization} invites you as ${one.role}. `;
    button.textContent = "Accept";
    button.setAttribute("aria-label", `Accept the invitation of ${one.organization}`);
    button.addEventListener("click", async () => {
      const outcome = await send("POST", `/v1/user/invitations/${one.id}/accept`);
      if (outcome.ok) location.reload();
      else item.append(` ${explain(outcome)}`);
    });
    item.append(button);
    section.querySelector("[data-invitation-list]").append(item);
  }
}

function sessionRow(session) {
  const row = document.createElement("tr");
  const program = session.current ? "This one" : session.user_agent || "unknown";
  const seen = new Date(session.last_seen_at).toLocaleString();
  for (const text of [program, session.address || "unknown", seen]) {
    row.insertCell().textContent = text;
  }
  const action = row.insertCell();
  if (!session.current) {
    const button = document.createElement("button");
    button.textContent = "End";
    button.setAttribute("aria-label", `End the session of ${program}, last seen ${seen}`);
    button.addEventListener("click", async () => {
      const outcome = await send("DELETE", `/v1/sessions/${session.id}`);
      if (outcome.ok || outcome.status === 404) row.remove();
    });
    action.append(button);
  }
  return row;
}

document.querySelectorAll("form[data-send]").forEach((form) => {
  form.addEventListener("submit", submitted);
});
const account = document.querySelector("[data-account]");
if (account !== null) fillAccount(account);
