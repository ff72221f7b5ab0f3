// The JDK's own HTTP server, writing down what it read: java JavaApp.java PORT JOURNAL
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.Executors;

public class JavaApp {
  static String quote(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') out.append(String.format("\\u%04x", (int) c));
      else out.append(c);
    }
    return out.append('"').toString();
  }

  public static void main(String[] args) throws IOException {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
    Path journal = Path.of(args[1]);
    server.setExecutor(Executors.newFixedThreadPool(8));
    server.createContext("/", exchange -> {
      byte[] body = exchange.getRequestBody().readAllBytes();
      StringJoiner headers = new StringJoiner(",", "[", "]");
      exchange.getRequestHeaders().forEach((name, values) ->
          values.forEach(value -> headers.add("[" + quote(name) + "," + quote(value) + "]")));
      String line = "{\"method\":" + quote(exchange.getRequestMethod()) + ",\"target\":"
          + quote(exchange.getRequestURI().toString()) + ",\"headers\":" + headers
          + ",\"body\":\"" + HexFormat.of().formatHex(body) + "\"}\n";
      synchronized (JavaApp.class) {
        Files.writeString(journal, line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
      }
      String decision = exchange.getRequestHeaders().getFirst("X-Sidegate-Decision");
      byte[] answer = (decision == null ? "none" : decision).getBytes(StandardCharsets.ISO_8859_1);
      boolean head = exchange.getRequestMethod().equals("HEAD");
      exchange.sendResponseHeaders(200, head ? -1 : answer.length);
      if (!head) exchange.getResponseBody().write(answer);
      exchange.close();
    });
    server.start();
  }
}
