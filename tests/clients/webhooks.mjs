// Webhooks signed by the packages that the gateways and Standard Webhooks publish: node webhooks.mjs URL-OF-THE-HTTP-PORT
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import Razorpay from "razorpay";
import { Webhook as StandardWebhook } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as SvixWebhook } from "svix";

const base = process.argv[2];
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const text = "a secret of the gateway";

async function post(gateway, headers, body) {
  const answer = await fetch(`${base}/webhooks/${gateway}`, { method: "POST", headers, body });
  await answer.text();
  return answer.status;
}

// The same signature over another body is nobody's.
async function taken(gateway, headersOf) {
  const body = JSON.stringify({ type: "payment.succeeded", text: "Zahlung über 1,00 €", gateway, n: 1.0 });
  const headers = headersOf(body);
  assert.equal(await post(gateway, headers, body), 200, gateway);
  assert.equal(await post(gateway, headers, body), 200, `${gateway}, repeated`);
  assert.equal(await post(gateway, headers, body + " "), 401, `${gateway}, another body`);
  console.log(`${gateway}: taken`);
}

const now = new Date();
const seconds = `${Math.floor(now.getTime() / 1000)}`;
await taken("standard", (body) => ({
  "webhook-id": "msg_1",
  "webhook-timestamp": seconds,
  "webhook-signature": new StandardWebhook(secret).sign("msg_1", now, body),
}));
await taken("svix", (body) => ({
  "svix-id": "msg_2",
  "svix-timestamp": seconds,
  "svix-signature": new SvixWebhook(secret).sign("msg_2", now, body),
}));
await taken("stripe", (body) => ({
  "stripe-signature": new Stripe("sk_test_1").webhooks.generateTestHeaderString({ payload: body, secret: text }),
}));
// This package only verifies: what it takes, we take.
await taken("razorpay", (body) => {
  const signature = createHmac("sha256", text).update(body).digest("hex");
  assert.ok(Razorpay.validateWebhookSignature(body, signature, text));
  return { "x-razorpay-signature": signature };
});
