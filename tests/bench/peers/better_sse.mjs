// The better-sse package as a server: GET /events, POST /pub. Argument: the port.
import http from "node:http";
import { createChannel, createSession } from "better-sse";

const channel = createChannel();

http
  .createServer(async (request, response) => {
    if (request.url === "/events") {
      const session = await createSession(request, response);
      channel.register(session);
      session.push("hi");
    } else if (request.url === "/pub") {
      let body = "";
      for await (const chunk of request) body += chunk;
      channel.broadcast(JSON.parse(body));
      response.writeHead(204, { "content-length": 0 }).end();
    } else {
      response.writeHead(404).end();
    }
  })
  .listen(Number(process.argv[2]), "127.0.0.1", 8192);
