// Puts Swagger UI on the page. Within a session what changes something repeats the session's second secret.
"use strict";

let csrfToken = null;

fetch("api/v1/session")
  .then((answer) => (answer.ok ? answer.json() : {}))
  .then((sender) => { csrfToken = sender.csrf_token ?? null; })
  .catch(() => {});

SwaggerUIBundle({
  url: "api/v1/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  requestInterceptor: (request) => {
    if (csrfToken !== null && request.method !== "GET") {
      request.headers["X-CSRF-Token"] = csrfToken;
    }
    return request;
  },
});
