// What each setting is for, by the English words in which the daemon says it. A test holds it to all of them.
export default {
  "Addresses to listen on; none at all leaves the unix socket.":
    "Adressen, an denen der Dienst lauscht; ganz ohne bleibt der Unix-Socket.",
  "Unix socket for local administrators; the commands use it.":
    "Unix-Socket für örtliche Verwalter; die Befehle benutzen ihn.",
  "The origin under which people reach the page.":
    "Die Adresse, unter der man die Seite erreicht.",
  "A host name that shows the chat only.":
    "Ein Hostname, der nur den Chat zeigt.",
  "Further origins whose pages may call with a cookie.":
    "Weitere Ursprünge, deren Seiten mit einem Cookie anfragen dürfen.",
  "Addresses or networks of reverse proxies whose X-Forwarded-For and -Proto are believed.":
    "Adressen oder Netze von Proxys davor, deren X-Forwarded-For und -Proto geglaubt wird.",
  "PEM file: the certificate with its chain.":
    "PEM-Datei: das Zertifikat mit seiner Kette.",
  "PEM file: the certificate's private key.":
    "PEM-Datei: der private Schlüssel des Zertifikats.",
  "User ids, beside root, that are administrators over the unix socket.":
    "Benutzernummern, die neben root über den Unix-Socket Verwalter sind.",
  "How long requests in flight may take to end when the daemon stops.":
    "Wie lange laufende Anfragen noch dauern dürfen, wenn der Dienst anhält.",
  "The largest request body, attachments apart.":
    "Der größte Inhalt einer Anfrage, Anhänge ausgenommen.",
  "Directory of the database, attachments and keys.":
    "Verzeichnis der Datenbank, der Anhänge und der Schlüssel.",
  "Messages older than this are deleted; kept for ever where it is not set.":
    "Ältere Nachrichten werden gelöscht; ohne Wert bleiben sie für immer.",
  "Audit entries older than this are deleted; kept for ever where it is not set.":
    "Ältere Einträge im Protokoll werden gelöscht; ohne Wert bleiben sie für immer.",
  "A stream without events gets a heartbeat after this time.":
    "Ein Strom ohne Ereignisse bekommt nach dieser Zeit einen Herzschlag.",
  "What may wait for one slow stream before it is closed.":
    "Was für einen langsamen Strom warten darf, bevor er geschlossen wird.",
  "Streams at once; newcomers are asked to come back.":
    "Ströme zur gleichen Zeit; wer dann noch kommt, wird gebeten, wiederzukommen.",
  "Streams at once of one user.":
    "Ströme zur gleichen Zeit von einem Benutzer.",
  "A stream ends at 80 to 100 % of this age, and its client resumes.":
    "Ein Strom endet bei 80 bis 100 % dieses Alters, und sein Empfänger setzt fort.",
  "Events kept in memory for clients that resume.":
    "Ereignisse im Speicher für Empfänger, die fortsetzen.",
  "Days that journalled events can be replayed.":
    "Tage, in denen aufgezeichnete Ereignisse wiederholt werden können.",
  "Journalled events kept at most.":
    "Aufgezeichnete Ereignisse, die höchstens bleiben.",
  "Frames a second that the text of one streaming reply makes at most.":
    "Wie viele Stücke in der Sekunde der Text einer entstehenden Antwort höchstens macht.",
  "How long a message waits for a bot that is not connected before it fails.":
    "Wie lange eine Nachricht auf einen Bot wartet, der nicht verbunden ist, bevor sie scheitert.",
  "How long a repeated send with the same key gets the same answer.":
    "Wie lange wiederholtes Senden mit demselben Schlüssel dieselbe Antwort bekommt.",
  "How long to wait for the rest of a run whose end the gateway did not tell.":
    "Wie lange auf den Rest eines Laufs gewartet wird, dessen Ende das Gateway nicht gemeldet hat.",
  "The largest attachment; a bot's own limit may be lower.":
    "Der größte Anhang; ein Bot kann eine kleinere Grenze haben.",
  "Fetch an image from elsewhere when somebody clicks on its placeholder; else the page has a link only.":
    "Ein Bild von anderswo holen, wenn jemand auf seinen Platzhalter klickt; sonst steht dort nur ein Link.",
  "Days that a login lasts.":
    "Tage, die eine Anmeldung hält.",
  "How long a one-time setup link works.":
    "Wie lange ein Einmal-Link gilt.",
  "Wrong passwords a minute for one account and one address before further ones wait.":
    "Falsche Passwörter in der Minute für ein Konto und eine Adresse, bevor weitere warten.",
  "The container engine's unix socket, or \"off\"; where it is not set, the usual places are looked at.":
    "Der Unix-Socket der Container-Engine, oder \"off\"; ohne Wert wird an den üblichen Orten gesucht.",
  "The image of new bots; what it is at that moment is pinned by its digest.":
    "Das Image neuer Bots; was es in diesem Augenblick ist, wird an seinem Digest festgehalten.",
  "Memory of a new bot's container.":
    "Arbeitsspeicher für den Container eines neuen Bots.",
  "Processors of a new bot's container.":
    "Prozessoren für den Container eines neuen Bots.",
  "Processes and threads of a new bot's container.":
    "Prozesse und Threads im Container eines neuen Bots.",
  "Ports of 127.0.0.1 for the gateways of new bots.":
    "Ports von 127.0.0.1 für die Gateways neuer Bots.",
  "How long a bot that is stopped may take to end its runs before it is killed.":
    "Wie lange ein Bot, der angehalten wird, seine Läufe noch beenden darf, bevor er abgebrochen wird.",
  "How often all containers are looked at, beside what the engine tells by itself.":
    "Wie oft alle Container angesehen werden, neben dem, was die Engine von sich aus meldet.",
  "So often a container may end by itself within crash_seconds; then it is left stopped.":
    "So oft darf ein Container innerhalb von crash_seconds von selbst enden; dann bleibt er angehalten.",
  "See crash_limit.":
    "Siehe crash_limit.",
  "Bots that are provisioned at the same time; further ones wait.":
    "Bots, die zur gleichen Zeit eingerichtet werden; weitere warten.",
  "Bots whose container may use the host's network.":
    "Bots, deren Container das Netz des Rechners benutzen darf.",
  "Folders of this machine that a bot's container may have: \"/srv/notes:/notes:ro\".":
    "Ordner dieses Rechners, die der Container eines Bots haben darf: \"/srv/notes:/notes:ro\".",
  "Names for files with secrets, which a bot's environment may refer to.":
    "Namen für Dateien mit Geheimnissen, auf die sich die Umgebung eines Bots beziehen darf.",
  "The least important lines that are written.":
    "Die unwichtigsten Zeilen, die noch geschrieben werden.",
  "auto: the journal under systemd, else text.":
    "auto: das Journal unter systemd, sonst Text.",
  "File (mode 600) with the key that seals the logins; made in the state directory where it is not set.":
    "Datei (Modus 600) mit dem Schlüssel, der die Anmeldungen versiegelt; ohne Wert wird sie im Zustandsverzeichnis angelegt.",
  "Name of the systemd credential that holds that key.":
    "Name des systemd-Credentials mit diesem Schlüssel.",
  "Of gateways that are no containers of edgebotd's: the file, by bot, into which the access tokens of the logins\nthat the bot uses are written.":
    "Für Gateways, die keine Container von edgebotd sind: je Bot die Datei, in die die Zugangstoken seiner Anmeldungen geschrieben werden.",
  "Days that the use of accounts is kept.":
    "Tage, die der Verbrauch der Konten aufgehoben wird.",
  "What people see; the id where it is not set.":
    "Was man sieht; ohne Wert die Kennung.",
  "The token endpoint.":
    "Die Adresse, die Token ausgibt.",
  "Of the client that you have registered, or may use.":
    "Von dem Client, den du angemeldet hast oder benutzen darfst.",
  "Better in a file of its own or a systemd credential.":
    "Besser in einer eigenen Datei oder einem systemd-Credential.",
  "File that holds the client's secret, readable by its owner only.":
    "Datei mit dem Geheimnis des Clients, nur für ihren Besitzer lesbar.",
  "Name of the systemd credential that holds the client's secret.":
    "Name des systemd-Credentials mit dem Geheimnis des Clients.",
  "How the client says who it is: by its id alone, by HTTP basic, or by its secret in the body.":
    "Wie der Client sagt, wer er ist: allein mit seiner Id, mit HTTP Basic, oder mit seinem Geheimnis im Inhalt.",
  "What the token endpoint takes; RFC 6749 knows forms.":
    "Was diese Adresse annimmt; RFC 6749 kennt Formulare.",
  "Where a person agrees; without it there is no login by browser.":
    "Wo jemand zustimmt; ohne das gibt es keine Anmeldung im Browser.",
  "Where that leads back to, if the client has a fixed one; the person then pastes the address that they land on.":
    "Wohin das zurückführt, wenn der Client etwas Festes hat; man fügt dann die Adresse ein, bei der man landet.",
  "The device authorization endpoint, where the provider has one.":
    "Die Adresse für die Anmeldung von Geräten, wo der Anbieter eine hat.",
  "What to ask for, separated by spaces.":
    "Worum gebeten wird, durch Leerzeichen getrennt.",
  "Send the scope with each refresh too.":
    "Den Umfang auch bei jedem Erneuern mitschicken.",
  "Further parameters of each token request.":
    "Weitere Angaben jeder Anfrage nach Token.",
  "Further parameters of the address where a person agrees.":
    "Weitere Angaben in der Adresse, an der jemand zustimmt.",
  "Further headers of each token request, such as an own User-Agent.":
    "Weitere Kopfzeilen jeder Anfrage nach Token, etwa ein eigener User-Agent.",
  "Whether a refresh token serves once only.":
    "Ob ein Erneuerungstoken nur einmal gilt.",
  "How long the provider takes a spent refresh token again; within it a lost answer is asked for once more.":
    "Wie lange der Anbieter ein verbrauchtes Erneuerungstoken noch einmal annimmt; so lange wird nach einer verlorenen Antwort noch einmal gefragt.",
  "So long before its end a token is refreshed; where it is not set, 5 minutes or a tenth of its life.":
    "So lange vor seinem Ende wird ein Token erneuert; ohne Wert 5 Minuten oder ein Zehntel seiner Dauer.",
  "How long a token request may take.":
    "Wie lange eine Anfrage nach Token dauern darf.",
  "Take the end of an access token from itself (JWT `exp`) where the answer does not tell it.":
    "Das Ende eines Zugangstokens ihm selbst entnehmen (`exp` im JWT), wo die Antwort es nicht sagt.",
  "Where the id token, or the access token (JWT), has the account's id: the names that lead to it.":
    "Wo das ID-Token oder das Zugangstoken (JWT) die Kennung des Kontos hat: die Namen, die dorthin führen.",
  "The shape of the answer; json: as `windows` says.":
    "Die Form der Antwort; json: wie `windows` sagt.",
  "Where to ask.":
    "Wo gefragt wird.",
  "How to ask; a POST sends {}.":
    "Wie gefragt wird; ein POST schickt {}.",
  "The word before the access token in the Authorization header.":
    "Das Wort vor dem Zugangstoken in der Kopfzeile Authorization.",
  "Further headers.":
    "Weitere Kopfzeilen.",
  "How often to ask.":
    "Wie oft gefragt wird.",
  "Never ask more often, whoever wishes to know.":
    "Nie öfter fragen, wer auch immer es wissen will.",
  "What it is called in events.":
    "Wie es in Ereignissen heißt.",
  "What people see.":
    "Was man sieht.",
  "Path of the used share: \"limits.0.percent\".":
    "Pfad des verbrauchten Anteils: \"limits.0.percent\".",
  "The same, of 0 to 1.":
    "Dasselbe, von 0 bis 1.",
  "Path of what is used, to be divided by `limit`.":
    "Pfad dessen, was verbraucht ist; wird durch `limit` geteilt.",
  "Path of what is left of `limit`.":
    "Pfad dessen, was von `limit` übrig ist.",
  "Path of the limit.":
    "Pfad der Grenze.",
  "Path of when it starts anew: ISO 8601, or Unix seconds or milliseconds.":
    "Pfad der Zeit, zu der es neu beginnt: ISO 8601, oder Sekunden oder Millisekunden nach Unix.",
  "How long the window is.":
    "Wie lang das Fenster ist.",
  "An account's window that is used so far is told of.":
    "Ist das Fenster eines Kontos so weit verbraucht, wird es gemeldet.",
  "So far, it is a warning.":
    "So weit ist es eine Warnung.",
  "So far, it is critical.":
    "So weit ist es kritisch.",
  "So much a window must fall below a threshold before that is taken back.":
    "So weit muss ein Fenster unter eine Schwelle fallen, bevor das zurückgenommen wird.",
  "A login whose refresh failed so often in a row is told of.":
    "Eine Anmeldung, deren Erneuern so oft nacheinander scheiterte, wird gemeldet.",
  "A bot that is not connected for so long, and neither stopped on purpose nor being upgraded, is told of.":
    "Ein Bot, der so lange nicht verbunden ist und weder absichtlich angehalten noch gerade erneuert wird, wird gemeldet.",
  "A bot that is at work and of which nothing came for so long is told of.":
    "Ein Bot, der arbeitet und von dem so lange nichts kam, wird gemeldet.",
  "What comes back within this time after it was mended is told of only if it stays.":
    "Was innerhalb dieser Zeit wiederkommt, nachdem es behoben war, wird nur gemeldet, wenn es bleibt.",
  "Addresses or networks of the house that channels may reach, by http too; else they reach public ones only.":
    "Adressen oder Netze des Hauses, die Kanäle erreichen dürfen, auch per http; sonst nur öffentliche.",
  "webhook: JSON to a server of yours; ntfy: a topic of an ntfy server; apprise: all that its library reaches.":
    "webhook: JSON an einen eigenen Server; ntfy: ein Thema eines ntfy-Servers; apprise: alles, was dessen Bibliothek erreicht.",
  "The name that people see; the id where it is not set.":
    "Der Name, den man sieht; ohne Wert die Kennung.",
  "Where to; whoever knows it can send there. Better in a file of its own or a systemd credential.":
    "Wohin; wer das kennt, kann dorthin senden. Besser in einer eigenen Datei oder einem systemd-Credential.",
  "File that holds the URL, readable by its owner only.":
    "Datei mit der URL, nur für ihren Besitzer lesbar.",
  "Name of the systemd credential that holds the URL.":
    "Name des systemd-Credentials mit der URL.",
  "webhook: the key that signs; ntfy: the access token. In the same three ways.":
    "webhook: der Schlüssel, der unterschreibt; ntfy: das Zugangstoken. Auf dieselben drei Arten.",
  "File that holds the secret, readable by its owner only.":
    "Datei mit dem Geheimnis, nur für ihren Besitzer lesbar.",
  "Name of the systemd credential that holds the secret.":
    "Name des systemd-Credentials mit dem Geheimnis.",
  "What is less severe is not sent here.":
    "Was weniger schwer wiegt, wird hierhin nicht gesendet.",
  "Send only what is about these bots and the accounts that they use; without it everything.":
    "Nur senden, was diese Bots und die Konten betrifft, die sie benutzen; ohne Wert alles.",
  "Hours in which nothing is sent: \"22:00-07:00\"; what came meanwhile is told in one message at their end.":
    "Stunden, in denen nichts gesendet wird: \"22:00-07:00\"; was inzwischen kam, kommt an ihrem Ende in einer Nachricht.",
  "The time zone of these hours; the machine's own where it is not set.":
    "Die Zeitzone dieser Stunden; ohne Wert die des Rechners.",
  "Send what is critical in quiet hours too.":
    "Was kritisch ist, auch in ruhigen Stunden senden.",
  "What speaks at the other end.":
    "Was am anderen Ende spricht.",
  "A host name of its own, which shows this bot only.":
    "Ein eigener Hostname, der nur diesen Bot zeigt.",
  "openclaw: ws:// or wss:// of the gateway; openai: http(s):// of the API, up to /v1.":
    "openclaw: ws:// oder wss:// des Gateways; openai: http(s):// der API, bis /v1.",
  "The gateway's token or the API key. Better in a file of its own or a systemd credential.":
    "Das Token des Gateways oder der API-Schlüssel. Besser in einer eigenen Datei oder einem systemd-Credential.",
  "File that holds the token, readable by its owner only.":
    "Datei mit dem Token, nur für ihren Besitzer lesbar.",
  "Name of the systemd credential that holds the token.":
    "Name des systemd-Credentials mit dem Token.",
  "openclaw: which agent of the gateway.":
    "openclaw: welcher Agent des Gateways.",
  "openai: the model to ask for.":
    "openai: das Modell, das gefragt wird.",
  "openai: said to the model before each conversation.":
    "openai: was dem Modell vor jeder Unterhaltung gesagt wird.",
  "openclaw: the name of the container that it runs in, where it is one of the engine's.":
    "openclaw: der Name des Containers, in dem es läuft, wo es einer der Engine ist.",
  "openclaw: pair as a device with a key of its own, not by token alone.":
    "openclaw: sich als Gerät mit eigenem Schlüssel koppeln, nicht allein mit dem Token.",
  "echo: pause between two pieces of a reply.":
    "echo: Pause zwischen zwei Stücken einer Antwort.",
};
