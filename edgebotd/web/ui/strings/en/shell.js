// The frame around every page, signing in, times.
export default {
  "time.now": "now",
  "time.seconds": "{n} s",
  "time.minutes": "{n} min",
  "time.hours": "{n} h",
  "time.days": "{n} d",
  "time.today": "Today",
  "time.yesterday": "Yesterday",

  "nav.dashboard": "Bots",
  "nav.chat": "Chat",
  "nav.admin": "Admin",
  "nav.account": "My account",
  "nav.signOut": "Log out",
  "nav.main": "Main",

  "line.idle": "Not connected",
  "line.connecting": "Connecting…",
  "line.live": "Live",
  "line.catching-up": "Catching up…",
  "line.polling": "Polling, because something between here and the daemon holds the stream back",
  "line.offline": "Offline. What you send leaves later.",
  "line.busy": "The daemon is busy. Waiting for a place…",
  "line.signed-out": "Your session has ended",

  "signIn.title": "Log in",
  "signIn.user": "User",
  "signIn.password": "Password",
  "signIn.go": "Log in",
  "notFound.title": "Nothing is here",
  "notFound.text": "The address leads to no page.",
  "notFound.home": "To the bots",
};
