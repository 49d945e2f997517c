// The frame around every page, signing in, times.
export default {
  "time.now": "jetzt",
  "time.seconds": "{n} s",
  "time.minutes": "{n} min",
  "time.hours": "{n} h",
  "time.days": "{n} d",
  "time.today": "Heute",
  "time.yesterday": "Gestern",

  "nav.dashboard": "Bots",
  "nav.chat": "Chat",
  "nav.admin": "Verwaltung",
  "nav.account": "Mein Konto",
  "nav.signOut": "Abmelden",
  "nav.main": "Hauptmenü",

  "line.idle": "Nicht verbunden",
  "line.connecting": "Verbindet…",
  "line.live": "Live",
  "line.catching-up": "Holt nach…",
  "line.polling": "Fragt regelmäßig nach, weil etwas auf dem Weg den Strom zurückhält",
  "line.offline": "Offline. Was du sendest, geht später ab.",
  "line.busy": "Der Dienst ist ausgelastet. Wartet auf einen Platz…",
  "line.signed-out": "Deine Sitzung ist beendet",

  "signIn.title": "Anmelden",
  "signIn.user": "Benutzer",
  "signIn.password": "Passwort",
  "signIn.go": "Anmelden",
  "notFound.title": "Hier ist nichts",
  "notFound.text": "Die Adresse führt zu keiner Seite.",
  "notFound.home": "Zu den Bots",
};
