import java.io.BufferedReader;
import java.io.InputStreamReader;
import org.eclipse.californium.core.CoapClient;
import org.eclipse.californium.core.CoapResponse;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.core.network.CoapEndpoint;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.elements.config.UdpConfig;
import org.eclipse.californium.scandium.DTLSConnector;
import org.eclipse.californium.scandium.config.DtlsConfig;
import org.eclipse.californium.scandium.config.DtlsConnectorConfig;
import org.eclipse.californium.scandium.dtls.x509.StaticNewAdvancedCertificateVerifier;

/**
 * A CoAP client on Californium, driven by lines of JSON: for tests of late answers and of bad paths.
 *
 * <p>The arguments are the server, HOST:PORT, the scheme, and MAX_RESOURCE_BODY_SIZE, 0 for its default.
 * With coaps it has DTLS, by Scandium as it is by default, but takes any certificate; with coap it has
 * none. Each line of standard input is a path, as JSON text, that is fetched; each is answered by one line
 * on standard output: the code and the payload in hexadecimal digits, or what failed. It ends with its
 * input.
 */
public final class FetchLate {
  /** The longest that one answer may take. */
  private static final long ANSWER_WITHIN_MS = 90_000;

  public static void main(String[] arguments) throws Exception {
    CoapConfig.register();
    UdpConfig.register();
    DtlsConfig.register();
    Configuration settings = Configuration.createStandardWithoutFile();
    String scheme = arguments[1];
    int largest = Integer.parseInt(arguments[2]);
    if (largest > 0) {
      settings.set(CoapConfig.MAX_RESOURCE_BODY_SIZE, largest);
    }
    CoapClient client = new CoapClient();
    CoapEndpoint.Builder endpoint = CoapEndpoint.builder().setConfiguration(settings);
    if (scheme.equals("coaps")) {
      endpoint.setConnector(dtls(settings));
    }
    client.setEndpoint(endpoint.build());
    client.setTimeout(ANSWER_WITHIN_MS);
    BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
    for (String line = orders.readLine(); line != null; line = orders.readLine()) {
      // Paths hold nothing that JSON escapes.
      client.setURI(scheme + "://" + arguments[0] + line.substring(1, line.length() - 1));
      System.out.println(fetch(client));
    }
    System.exit(0);
  }

  private static DTLSConnector dtls(Configuration settings) {
    settings.set(DtlsConfig.DTLS_ROLE, DtlsConfig.DtlsRole.CLIENT_ONLY);
    settings.set(DtlsConfig.DTLS_VERIFY_SERVER_CERTIFICATES_SUBJECT, false);
    DtlsConnectorConfig.Builder config = DtlsConnectorConfig.builder(settings);
    config.setAdvancedCertificateVerifier(
        StaticNewAdvancedCertificateVerifier.builder().setTrustAllCertificates().build());
    return new DTLSConnector(config.build());
  }

  private static String fetch(CoapClient client) {
    try {
      CoapResponse response = client.get();
      if (response == null) {
        return "{\"error\": \"no answer\"}";
      }
      StringBuilder payload = new StringBuilder();
      for (byte each : response.getPayload()) {
        payload.append(String.format("%02x", each));
      }
      return "{\"code\": \"" + response.getCode() + "\", \"payload\": \"" + payload + "\"}";
    } catch (Exception error) {
      return "{\"error\": \"" + error.getClass().getSimpleName() + "\"}";
    }
  }
}
