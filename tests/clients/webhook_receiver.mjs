// Receives webhooks as a server in Node does, verified by the stock packages.
// usage: node webhook_receiver.mjs PORT SECRET...
import http from "node:http";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";

const [port, ...secrets] = process.argv.slice(2);
const verifiers = { standardwebhooks: StandardWebhook, svix: SvixWebhook };

http
  .createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString("utf8");
      let status = 200;
      for (const [name, Webhook] of Object.entries(verifiers)) {
        secrets.forEach((secret, number) => {
          try {
            const event = new Webhook(secret).verify(body, request.headers);
            console.log(`${name} secret ${number}: ${event.type} of ${event.data.order_id}`);
          } catch (error) {
            status = 400;
            console.log(`${name} secret ${number}: ${error}`);
          }
        });
        try {
          new Webhook(secrets[0]).verify(body + " ", request.headers);
          console.log(`${name}: a changed body is taken`);
        } catch {
          console.log(`${name}: a changed body is refused`);
        }
      }
      response.writeHead(status).end();
    });
  })
  .listen(Number(port), "127.0.0.1", () => console.log("listening"));
