// The dashboard, a bot's page, the first run.
export default {
};
