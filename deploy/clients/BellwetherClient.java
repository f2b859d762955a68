// Who is the master? Asked of bellwether with Java's standard library.
//
//     java BellwetherClient.java [ask|wait|follow [URL [NAME]]]
//
// ask prints the address once, wait follows it with long polls, follow with the stream of events.
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.HttpURLConnection;
import java.net.Proxy;
import java.net.URI;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class BellwetherClient {
    // Milliseconds: over the 30 s of a wait, and the 15 s at which a silent stream sends a comment.
    static final int SILENCE = 45000;
    // Java has no JSON of its own; the members of a master stand in their order.
    static final Pattern SERVING = Pattern.compile("\"state\":\"(ok|unverified)\"");
    static final Pattern ADDRESS = Pattern.compile("\"address\":\"([^\"]+)\"");
    static String mode = "ask", base = "http://127.0.0.1:8380", name = "mymaster", current, lastId = "";
    static int retryAfter;

    // 200, or 503 while there is no master; all else (a limit, a name that nobody knows yet) is an error.
    static HttpURLConnection get(String path) throws IOException {
        var answer = (HttpURLConnection) URI.create(base + path).toURL().openConnection(Proxy.NO_PROXY); // one would cut what waits
        answer.setConnectTimeout(2000);
        answer.setReadTimeout(SILENCE);
        answer.setRequestProperty("Last-Event-ID", lastId);
        int status = answer.getResponseCode();
        if (status != 200 && (status != 503 || answer.getHeaderField("X-Bellwether-Index") == null)) {
            retryAfter = answer.getHeaderFieldInt("Retry-After", 0);
            throw new IOException("status " + status);
        }
        return answer;
    }

    static BufferedReader lines(HttpURLConnection answer) throws IOException {
        return new BufferedReader(new InputStreamReader(answer.getInputStream(), "UTF-8"));
    }

    static String address(String json) throws IOException {
        Matcher found = ADDRESS.matcher(json == null ? "" : json);
        if (!found.find()) {
            throw new IOException("the answer is cut short");
        }
        return found.group(1);
    }

    // Here your Redis client would connect anew. null: there is no master now.
    static void tell(String address) {
        if (address != null && !address.equals(current)) {
            System.out.println(address);
        }
        current = address;
    }

    // Each answer comes when something about the master has changed, or the daemon was started again.
    static void waitForChanges() throws IOException, InterruptedException {
        for (String query = "", last; current == null || !mode.equals("ask"); ) {
            var answer = get("/masters/" + name + query);
            tell(answer.getResponseCode() == 200 ? address(lines(answer).readLine()) : null);
            last = query;
            query = "?wait=30s&index=" + answer.getHeaderField("X-Bellwether-Index")
                + "&instance=" + answer.getHeaderField("X-Bellwether-Instance");
            if (query.equals(last)) { // nothing new, as when the daemon is about to stop: do not spin
                Thread.sleep(ThreadLocalRandom.current().nextInt(1000));
            }
        }
        System.exit(0);
    }

    // A stream that broke off goes on behind the last event that was seen.
    static void follow() throws IOException {
        String line, event = "";
        try (var lines = lines(get("/events?master=" + name))) {
            while ((line = lines.readLine()) != null) {
                if (line.startsWith("id: ")) {
                    lastId = line.substring(4);
                } else if (line.startsWith("event: ")) {
                    event = line.substring(7);
                } else if (line.startsWith("data: ") && event.equals("master")) {
                    tell(SERVING.matcher(line).find() ? address(line) : null);
                }
            }
        }
        throw new IOException("the stream ended");
    }

    public static void main(String[] args) throws InterruptedException {
        mode = args.length > 0 ? args[0] : mode;
        base = args.length > 1 ? args[1] : base;
        name = args.length > 2 ? args[2] : name;
        if (args.length > 3 || !Set.of("ask", "wait", "follow").contains(mode)) {
            System.err.println("usage: java BellwetherClient.java [ask|wait|follow [URL [NAME]]]");
            System.exit(2);
        }
        for (int failures = 0; ; ) { // again and again, with jitter: all clients lose a daemon at the same moment
            long began = System.nanoTime();
            try {
                if (mode.equals("follow")) {
                    follow();
                }
                waitForChanges();
            } catch (IOException error) {
                System.err.println("again soon: " + error.getMessage());
            }
            failures = System.nanoTime() - began > 5e9 ? 0 : Math.min(failures + 1, 5);
            Thread.sleep(1000 * retryAfter + ThreadLocalRandom.current().nextInt(50, 200 << failures));
            retryAfter = 0;
        }
    }
}
