// Conversations and everything in them.
export default {
};
