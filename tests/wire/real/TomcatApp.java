// Tomcat, embedded, writing down what it read: java -cp tomcat-embed-core.jar TomcatApp.java PORT JOURNAL
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;

public class TomcatApp {
  static String quote(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') out.append(String.format("\\u%04x", (int) c));
      else out.append(c);
    }
    return out.append('"').toString();
  }

  static class Writer extends HttpServlet {
    private final transient Path journal;

    Writer(Path journal) {
      this.journal = journal;
    }

    @Override
    protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
      byte[] body = request.getInputStream().readAllBytes();
      StringJoiner headers = new StringJoiner(",", "[", "]");
      for (String name : Collections.list(request.getHeaderNames())) {
        for (String value : Collections.list(request.getHeaders(name))) {
          headers.add("[" + quote(name) + "," + quote(value) + "]");
        }
      }
      String query = request.getQueryString();
      String target = request.getRequestURI() + (query == null ? "" : "?" + query);
      String line = "{\"method\":" + quote(request.getMethod()) + ",\"target\":" + quote(target) + ",\"headers\":"
          + headers + ",\"body\":\"" + HexFormat.of().formatHex(body) + "\"}\n";
      synchronized (TomcatApp.class) {
        Files.writeString(journal, line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
      }
      String decision = request.getHeader("X-Sidegate-Decision");
      byte[] answer = (decision == null ? "none" : decision).getBytes(StandardCharsets.ISO_8859_1);
      response.setContentType("text/plain");
      response.setContentLength(answer.length);
      response.getOutputStream().write(answer);
    }
  }

  public static void main(String[] args) throws Exception {
    Path journal = Path.of(args[1]);
    Tomcat tomcat = new Tomcat();
    tomcat.setBaseDir(journal.resolveSibling("tomcat").toString());
    tomcat.setPort(Integer.parseInt(args[0]));
    tomcat.getConnector().setProperty("address", "127.0.0.1");
    tomcat.getConnector().setProperty("maxHttpRequestHeaderSize", "65536");
    Context context = tomcat.addContext("", null);
    Tomcat.addServlet(context, "writer", new Writer(journal));
    context.addServletMappingDecoded("/*", "writer");
    tomcat.start();
    tomcat.getServer().await();
  }
}
